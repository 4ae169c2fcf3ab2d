import Table from 'cli-table3';
import colors from 'picocolors';

/** `text` for people, `json` for programs; `check` knows three more. */
export type OutputFormat = 'text' | 'json' | 'sarif' | 'junit' | 'github';

/** The result of a command: stdout, one line of JSON or text as it is. */
export function printResult(format: string | undefined, result: { schema: string } & Record<string, unknown>, text: () => string): void {
  const out = format === 'json' ? JSON.stringify(result) : text();
  if (out.length > 0) process.stdout.write(out.endsWith('\n') ? out : `${out}\n`);
}

/** The story beside the result: stderr, and not at all when nobody looks. */
export function tell(text: string): void {
  if (process.stderr.isTTY) process.stderr.write(`${colors.dim(text)}\n`);
}

/** As `tell`, with the seconds since it was made before each line. */
export function timedTelling(): (text: string) => void {
  const startedAtMs = performance.now();
  return (text) => tell(`${((performance.now() - startedAtMs) / 1000).toFixed(1)} s  ${text}`);
}

/** A table without borders, columns two spaces apart; our own colours only, so NO_COLOR holds. */
export function renderTable(head: readonly string[], rows: readonly (readonly (string | number | null)[])[]): string {
  const table = new Table({
    head: head.map((title) => colors.dim(title)),
    style: { head: [], border: [], 'padding-left': 0, 'padding-right': 2 },
    chars: { top: '', 'top-mid': '', 'top-left': '', 'top-right': '', bottom: '', 'bottom-mid': '', 'bottom-left': '', 'bottom-right': '', left: '', 'left-mid': '', mid: '', 'mid-mid': '', right: '', 'right-mid': '', middle: '' },
  });
  for (const row of rows) table.push(row.map((cell) => (cell === null ? colors.dim('-') : String(cell))));
  return table
    .toString()
    .split('\n')
    .map((line) => line.trimEnd())
    .join('\n');
}

/** `add` green, `remove` red, `change` yellow, as a diff; symbols carry the meaning where there is no colour. */
export function renderChangeLine(summary: string): string {
  if (summary.startsWith('+')) return colors.green(summary);
  if (summary.startsWith('-')) return colors.red(summary);
  return colors.yellow(summary);
}

export { colors };

/** An ISO instant to the minute: `2026-11-29 14:05`. */
export function shortTime(at: string): string {
  return at.slice(0, 16).replace('T', ' ');
}
