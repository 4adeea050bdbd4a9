# Host agent with firmware for emulated boards. Built from the folder above: docker build -f docker/worker.Dockerfile .
# Where no registry is in reach, other bases: --build-arg DEBIAN=… --build-arg PYTHON=…
ARG DEBIAN=debian:bookworm-slim@sha256:88200866dfff7ea7f5cbcb6ec7c8a701889efe6fe859fe64d6990e4b07ea4171
ARG PYTHON=python:3.13-slim-bookworm@sha256:67a1e1f215ccda113cfc024e8639049257e88f273898f595b61476d128d387e8

FROM ${DEBIAN} AS firmware
RUN apt-get update \
    && apt-get install -y --no-install-recommends \
        cmake gcc gcc-arm-none-eabi libc6-dev libnewlib-arm-none-eabi ninja-build \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /firmware
COPY firmware .
RUN for port in native stm32f405; do \
        cmake --preset "$port" && cmake --build --preset "$port" || exit 1; \
    done
RUN install -D build/native/tlep-native /out/native/tlep-native \
    && install -D --mode=644 build/stm32f405/tlep-stm32f405.elf /out/stm32f405/tlep-stm32f405.elf

FROM ${PYTHON} AS build
# cobs comes as source.
RUN apt-get update \
    && apt-get install -y --no-install-recommends gcc libc6-dev \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY constraints constraints
COPY shared shared
COPY scheduler scheduler
COPY workers workers
COPY models models
COPY monitoring/runbooks monitoring/runbooks
COPY scripts/wheel_firmware.py scripts/
# Against the hashes. What builds stays behind in /build, and /venv gets wheels only.
RUN python -m venv /build && python -m venv /venv
RUN --mount=type=cache,target=/pip-cache \
    export PIP_CACHE_DIR=/pip-cache PIP_DISABLE_PIP_VERSION_CHECK=1 \
    && /build/bin/pip install --require-hashes -r constraints/build.txt \
    && /build/bin/pip wheel --require-hashes --no-build-isolation --wheel-dir /wheels \
        -r constraints/base.txt -r constraints/worker.txt \
    && /build/bin/pip wheel --no-deps --no-build-isolation --wheel-dir /wheels . \
    && /venv/bin/pip install --no-index --no-deps /wheels/*.whl

FROM ${PYTHON}
RUN apt-get update \
    && apt-get install -y --no-install-recommends qemu-system-arm \
    && rm -rf /var/lib/apt/lists/*
# dialout: serial ports of the host, when they are passed in. The same number as in the scheduler's image:
# both write into the volume of the logs.
RUN useradd --key HOME_MODE=0700 --uid 10001 --user-group --groups dialout --home-dir /var/lib/edgeprof --create-home edgeprof \
    && install --directory --mode=0700 --owner edgeprof --group edgeprof /logs
COPY --from=build /venv /venv
COPY --from=firmware /out /usr/local/share/edgeprof/firmware
ENV PATH=/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    EDGEPROF_DATA_DIR=/var/lib/edgeprof \
    EDGEPROF_CACHE_DIR=/var/lib/edgeprof/cache \
    EDGEPROF_FIRMWARE_DIR=/usr/local/share/edgeprof/firmware \
    EDGEPROF_LOG_DIR=/logs
WORKDIR /var/lib/edgeprof
USER edgeprof
EXPOSE 8000 9100
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 \
    CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8000/metrics', timeout=4)"]
ENTRYPOINT ["edgeprof"]
CMD ["worker", "--boards", "/etc/edgeprof/boards.toml"]
