FROM python:3.13.9-slim-trixie AS build
WORKDIR /app
RUN python -m venv /venv
ENV PATH=/venv/bin:$PATH
# With requirements-full.lock it has PostgreSQL and Valkey of its own, for `alerting up`.
ARG LOCK=requirements.lock
COPY requirements.lock requirements-full.lock requirements-otel.lock ./
RUN pip install --no-cache-dir --require-hashes -r "$LOCK"
COPY pyproject.toml README.md worker.py ./
COPY alerting alerting
COPY examples examples
RUN pip install --no-cache-dir --no-deps --no-build-isolation .

FROM python:3.13.9-slim-trixie
RUN useradd --system --uid 10001 --create-home --home-dir /var/lib/alerting alerting
COPY --from=build /venv /venv
ENV PATH=/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    ALERTING_VAR=/var/lib/alerting \
    ALERTING_LOG_FORMAT=json \
    ALERTING_HOST=0.0.0.0
USER alerting
WORKDIR /var/lib/alerting
EXPOSE 8080
CMD ["alerting", "serve"]
