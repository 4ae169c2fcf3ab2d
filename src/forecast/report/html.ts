/** Text that is HTML already; made by `html` only. */
export class SafeHtml {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }

  toString(): string {
    return this.text;
  }
}

type Part = string | number | SafeHtml | readonly Part[] | null | false;

/**
 * A template in which every value is escaped, but for what a template made. Names in data come from strangers, so there
 * is no other way to put one into a page: in text and in double-quoted attributes it is safe, elsewhere do not use it.
 */
export function html(strings: TemplateStringsArray, ...values: readonly Part[]): SafeHtml {
  return new SafeHtml(strings.reduce((text, string, index) => text + string + (index < values.length ? render(values[index]!) : ''), ''));
}

function render(value: Part): string {
  if (value === null || value === false) return '';
  if (value instanceof SafeHtml) return value.text;
  if (Array.isArray(value)) return (value as readonly Part[]).map(render).join('');
  return escapeHtml(String(value));
}

const NAME_MAX = 120;
const ENTITIES: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' };

/** Also without control characters and those that turn the direction of text, by which a name could dress up as another. */
export function escapeHtml(text: string): string {
  return text.replaceAll(INVISIBLE, '\u{FFFD}').replaceAll(/[&<>"']/g, (character) => ENTITIES[character]!);
}

// oxlint-disable-next-line no-control-regex -- they are what is looked for
const INVISIBLE = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f\u200b-\u200f\u202a-\u202e\u2028\u2029\u2060-\u2069\ufeff\ufff9-\ufffb]|[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g;

/** A name of a sensible length. */
export function shortName(name: string): string {
  return name.length <= NAME_MAX ? name : `${name.slice(0, NAME_MAX - 1)}…`;
}
