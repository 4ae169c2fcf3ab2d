import type * as Pino from 'pino';
import { requireCommonJs } from './common-js.ts';

export type Log = Pino.Logger;

/** Field names whose values never reach a log line, at any of the first three levels. */
const SECRET_FIELDS = ['token', 'joinToken', 'psk', 'privateKey', 'key', 'password', 'authorization', 'secret'];

/**
 * JSON lines on stderr, or appended to `file`: a fixed message and fields (`{ nodeId, generation }`), secrets blanked.
 * @param level  pino level; `silent` for tests
 */
export function createLog(name: string, level = process.env['FOREMESH_LOG'] ?? 'info', file?: string): Log {
  const { pino } = requireCommonJs<typeof Pino>('pino'); // only by who writes a log
  const paths = SECRET_FIELDS.flatMap((field) => [field, `*.${field}`, `*.*.${field}`]);
  return pino({ name, level, base: { name }, redact: { paths, censor: '[redacted]' } }, pino.destination({ dest: file ?? 2, sync: true, mkdir: file !== undefined }));
}
