# Scheduler, Flower and the command line. Built from the folder above: docker build -f docker/scheduler.Dockerfile .
FROM python:3.13-slim-bookworm AS build
WORKDIR /src
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY shared shared
COPY scheduler scheduler
COPY workers workers
COPY models models
COPY monitoring/runbooks monitoring/runbooks
RUN python -m venv /venv
RUN --mount=type=cache,target=/pip-cache \
    /venv/bin/pip install --cache-dir /pip-cache --disable-pip-version-check -c constraints.txt '.[monitor]'

FROM python:3.13-slim-bookworm
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
