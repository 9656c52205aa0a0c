# The service: a wheel built in one stage, installed in a second, run by an unprivileged user in the third.
ARG PYTHON_IMAGE=python:3.13-slim-bookworm

FROM ${PYTHON_IMAGE} AS wheel
WORKDIR /source
COPY requirements-build.lock .
RUN pip install --no-cache-dir --require-hashes -r requirements-build.lock
COPY . .
RUN pip wheel --no-cache-dir --no-deps --no-build-isolation --wheel-dir /wheel .

FROM ${PYTHON_IMAGE} AS installed
WORKDIR /locks
RUN python -m venv --without-pip /opt/messaging_api
COPY requirements.lock .
RUN pip --python /opt/messaging_api/bin/python install --no-cache-dir --require-hashes -r requirements.lock
COPY --from=wheel /wheel /wheel
RUN pip --python /opt/messaging_api/bin/python install --no-cache-dir --no-deps --no-index /wheel/*.whl

FROM ${PYTHON_IMAGE} AS service
ARG VERSION=0.1.0
LABEL org.opencontainers.image.title="messaging_api" \
      org.opencontainers.image.description="Post a message, get a link nobody can guess. The link is the only key." \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.licenses="MIT"
RUN groupadd --gid 433 messaging_api \
 && useradd --uid 431 --gid 433 --no-create-home --home-dir /var/lib/messaging_api --shell /usr/sbin/nologin messaging_api \
 && install -d -o 431 -g 433 -m 0750 /var/lib/messaging_api /var/log/messaging_api
COPY --from=installed /opt/messaging_api /opt/messaging_api
ENV PATH=/opt/messaging_api/bin:$PATH \
    XDG_DATA_HOME=/var/lib \
    MESSAGING_API_HOST=0.0.0.0 \
    MESSAGING_API_LOG_DIR=/var/log/messaging_api
VOLUME ["/var/lib/messaging_api", "/var/log/messaging_api"]
EXPOSE 5000
USER 431:433
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s CMD ["python", "-I", "-S", "-c", \
  "import http.client as h; c = h.HTTPConnection('127.0.0.1', 9000, timeout=4); c.request('GET', '/ready'); raise SystemExit(c.getresponse().status != 200)"]
ENTRYPOINT ["messaging-api"]
CMD ["serve"]

# For development, with its tools: the sources are mounted, and the service restarts when one of them changes.
FROM installed AS tools
WORKDIR /locks
COPY requirements-dev.lock .
RUN pip --python /opt/messaging_api/bin/python install --no-cache-dir --require-hashes -r requirements-dev.lock

FROM service AS development
COPY --from=tools /opt/messaging_api /opt/messaging_api
ENV PYTHONPATH=/source
ENTRYPOINT ["watchfiles", "--filter", "python", "messaging-api serve", "/source"]
CMD []

# What is built when no stage is named.
FROM service
