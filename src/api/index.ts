// In: a running engine, and what it needs for reviews and join tokens. Out: an HTTP server with an OpenAPI document, and a client for it.
// An edge: checks who asks and what they ask, then calls the engine; decides nothing.
// Start reading at server.ts (what every route has in common), then routes/*.ts.
// docs/api.md says the same for users; schemas.ts is the source of both the checks and the document.
// Others import from this file only.
export { createApiClient, type ApiAnswer, type ApiClient, type ApiClientOptions } from './client.ts';
export { listenApi, type ApiAddress, type ListeningApi } from './listen.ts';
export { buildServer, type ApiDeps } from './server.ts';
export { ensureApiToken } from './token.ts';
