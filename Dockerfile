FROM node:22-slim AS pages
WORKDIR /app/web
COPY web/package.json web/package-lock.json web/.npmrc ./
RUN npm ci --no-audit --no-fund
COPY web ./
RUN npm run build

FROM python:3.13-slim
WORKDIR /app
COPY requirements/run.txt requirements/run.txt
RUN python -m venv .venv \
    && .venv/bin/python -m pip install --no-cache-dir --require-hashes --requirement requirements/run.txt
COPY tributary LICENSE ./
COPY gateway gateway
COPY schema schema
COPY resolvers resolvers
COPY datasources datasources
COPY auth auth
COPY subscriptions subscriptions
COPY migrations migrations
COPY --from=pages /app/web/dist web/dist

# The code belongs to root; the service may write to /app/var (SQLite, mail of development) and nowhere else.
RUN useradd --system --uid 10001 --no-create-home tributary && install --directory --owner=tributary var
USER tributary
VOLUME /app/var
ENV PYTHONUNBUFFERED=1 PORT=8000
EXPOSE 8000
HEALTHCHECK --start-period=20s CMD [".venv/bin/python", "-c", "import os, urllib.request as r; r.urlopen('http://127.0.0.1:' + os.environ['PORT'] + '/healthz', timeout=3)"]
ENTRYPOINT ["./tributary"]
CMD ["serve", "--host", "0.0.0.0"]
