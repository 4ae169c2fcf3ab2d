// In: the YAML files of mesh-config. Out: one checked, normalised Intent with the place of everything in it, or all findings.
// Also the JSON Schemas (schema.ts: fields, defaults and their documentation in one place) that editors use.
// Start reading at load-intent.ts; it calls parse.ts, check-schema.ts, check-references.ts, normalise.ts in this order.
// Pure but for readConfigFolder. New field: schema.ts, documents.ts, normalise.ts, then UPDATE_SCHEMAS=1.
// Others import from this file only.
export type { SourceFile } from '../base/index.ts';
export { findingsOfVerdict, loadIntent, readConfigFolder, type IntentResult, type LocatedIntent } from './load-intent.ts';
export { API_VERSION, COMBINED_SCHEMA, INTENT_KINDS, INTENT_SCHEMAS, type IntentKind } from './schema.ts';
export type { JsonSchema } from './schema-parts.ts';
export { nearest } from './nearest.ts';
