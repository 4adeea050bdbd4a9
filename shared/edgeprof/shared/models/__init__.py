"""Models on the host: read, check, quantise, import and tokenise them, and fit them to boards."""

from edgeprof.shared.models.file import ConvertibleModel, ModelFile
from edgeprof.shared.models.quantize import quantized

__all__ = ["ConvertibleModel", "ModelFile", "quantized"]
