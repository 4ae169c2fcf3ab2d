import colors from 'picocolors';

/** What the demo writes: steps with their evidence on stdout, so that it can be piped, and what it is busy with on stderr. */
export interface Screen {
  title(text: string): void;
  step(number: number, total: number, title: string): void;
  /** A plain line of the story. */
  say(text: string): void;
  /** A command a person would type, as it is run here. */
  command(text: string): void;
  /** Output of something real: indented as it is. */
  evidence(text: string): void;
  /** A measured statement that holds. */
  holds(text: string): void;
  /** A measured statement that does not hold: the demo fails at its end. */
  fails(text: string): void;
  /** Not part of the result. */
  busy(text: string): void;
}

export function createScreen(options: { stdout: (text: string) => void; stderr: (text: string) => void; progress: boolean; elapsedMs: () => number }): Screen {
  const line = (text = ''): void => options.stdout(`${text}\n`);
  return {
    title: (text) => line(colors.bold(text)),
    step(number, total, title) {
      const seconds = (options.elapsedMs() / 1000).toFixed(0).padStart(3);
      line();
      line(`${colors.cyan(`── ${number}/${total} `)}${colors.bold(title)} ${colors.dim(`· ${seconds} s`)}`);
    },
    say: (text) => line(`   ${clip(text)}`),
    command: (text) => line(`   ${colors.dim('$')} ${text}`),
    evidence: (text) => {
      for (const row of text.split('\n')) line(`   ${colors.dim('│')} ${clip(row)}`);
    },
    holds: (text) => line(`   ${colors.green('✓')} ${text}`),
    fails: (text) => line(`   ${colors.red('✗')} ${colors.red(text)}`),
    busy: (text) => {
      if (options.progress) options.stderr(`${colors.dim(`   … ${text}`)}\n`);
    },
  };
}

/** A line longer than this tells nobody anything on a terminal. */
const LINE_MAX = 132;

function clip(text: string): string {
  return text.length > LINE_MAX ? `${text.slice(0, LINE_MAX - 1)}…` : text;
}

/** Rows as columns, two spaces apart; nothing fancier than a terminal of 100 columns can show. */
export function columns(head: readonly string[], rows: readonly (readonly (string | number)[])[]): string {
  const cells = [head, ...rows.map((row) => row.map(String))];
  const widths = head.map((_, column) => Math.max(...cells.map((row) => (row[column] ?? '').length)));
  return cells.map((row) => row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join('  ').trimEnd()).join('\n');
}
