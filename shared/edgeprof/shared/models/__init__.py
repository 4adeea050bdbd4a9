"""Models on the host: read and check a GGUF, make other types of it, tokenise, and know what fits where."""

from edgeprof.shared.models.file import ConvertibleModel, ModelFile
from edgeprof.shared.models.quantize import quantized

__all__ = ["ConvertibleModel", "ModelFile", "quantized"]
