import { stringify } from 'yaml';

/** YAML with sorted keys, no anchors and no line folding: the same value gives the same bytes. */
export function toYaml(value: unknown, header: readonly string[]): string {
  const text = stringify(value, { sortMapEntries: true, aliasDuplicateObjects: false, lineWidth: 0, defaultStringType: 'PLAIN', version: '1.2' });
  return `${header.map((line) => `# ${line}`).join('\n')}\n${text}`;
}
