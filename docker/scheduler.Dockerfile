# Scheduler, Flower and the command line. Built from the folder above: docker build -f docker/scheduler.Dockerfile .
# Where no registry is in reach, another base: --build-arg PYTHON=…
ARG PYTHON=python:3.13-slim-bookworm@sha256:67a1e1f215ccda113cfc024e8639049257e88f273898f595b61476d128d387e8

FROM ${PYTHON} AS build
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
        -r constraints/base.txt -r constraints/monitor.txt \
    && /build/bin/pip wheel --no-deps --no-build-isolation --wheel-dir /wheels . \
    && /venv/bin/pip install --no-index --no-deps /wheels/*.whl

FROM ${PYTHON}
# The worker's image has the same number: both write into the volume of the logs.
RUN useradd --key HOME_MODE=0700 --uid 10001 --user-group --home-dir /var/lib/edgeprof --create-home edgeprof \
    && install --directory --mode=0700 --owner edgeprof --group edgeprof /logs
COPY --from=build /venv /venv
ENV PATH=/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    EDGEPROF_DATA_DIR=/var/lib/edgeprof \
    EDGEPROF_CACHE_DIR=/var/lib/edgeprof/cache \
    EDGEPROF_LOG_DIR=/logs
WORKDIR /var/lib/edgeprof
USER edgeprof
EXPOSE 8001
# 503, and so not healthy, when the custodian is stuck or Redis is away.
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 \
    CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8001/health', timeout=4)"]
ENTRYPOINT ["edgeprof"]
CMD ["scheduler"]
