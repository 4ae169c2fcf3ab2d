// Draws terminal output as SVG: `FORCE_COLOR=1 npm run -s demo | node tools/terminal-svg.mjs [FIRST] [LAST] > docs/demo.svg`.
// The picture in the README is made by exactly this, from a run of the demo. FIRST and LAST choose lines, counted from 1.
import { readFileSync } from 'node:fs';

const COLOURS = { 30: '#3b4252', 31: '#e06c75', 32: '#98c379', 33: '#e5c07b', 34: '#61afef', 35: '#c678dd', 36: '#56b6c2', 37: '#d8dee9', 90: '#7f848e' };
const ESCAPE = String.fromCharCode(27);
const STYLE = new RegExp(`${ESCAPE}\\[[0-9;]*m`, 'g');
const LINE = 17;
const CHARACTER = 7.83;

const [first = '1', last = '100000'] = process.argv.slice(2);
const lines = readFileSync(0, 'utf8').trimEnd().split('\n').slice(Number(first) - 1, Number(last));
const columns = Math.max(80, ...lines.map((line) => plain(line).length));
const width = Math.ceil(columns * CHARACTER + 32);
const height = lines.length * LINE + 48;
const text = lines.map((line, index) => `<text x="16" y="${44 + index * LINE}" xml:space="preserve">${spans(line)}</text>`).join('\n');

process.stdout.write(`<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" role="img" aria-label="Output of npm run demo">
<rect width="100%" height="100%" rx="8" fill="#1e222a"/>
<circle cx="20" cy="16" r="5" fill="#e06c75"/><circle cx="38" cy="16" r="5" fill="#e5c07b"/><circle cx="56" cy="16" r="5" fill="#98c379"/>
<g font-family="ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace" font-size="13" fill="#d8dee9">
${text}
</g>
</svg>
`);

function plain(line) {
  return line.replaceAll(STYLE, '');
}

/** Runs of one style as tspans. */
function spans(line) {
  let style = { colour: null, bold: false, dim: false };
  return line
    .split(new RegExp(`(${STYLE.source})`))
    .map((part) => {
      if (!part.startsWith(ESCAPE)) return part === '' ? '' : `<tspan${attributes(style)}>${escape(part)}</tspan>`;
      for (const code of (part.slice(2, -1) || '0').split(';').map(Number)) style = next(style, code);
      return '';
    })
    .join('');
}

function next(style, code) {
  if (code === 0) return { colour: null, bold: false, dim: false };
  if (code === 1) return { ...style, bold: true };
  if (code === 2) return { ...style, dim: true };
  if (code === 22) return { ...style, bold: false, dim: false };
  if (code === 39) return { ...style, colour: null };
  return COLOURS[code] ? { ...style, colour: COLOURS[code] } : style;
}

function attributes({ colour, bold, dim }) {
  return `${colour ? ` fill="${colour}"` : ''}${bold ? ' font-weight="bold"' : ''}${dim ? ' opacity="0.6"' : ''}`;
}

function escape(text) {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}
