import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { matrixOf, reportOf } from './report-fixture.ts';

const page = await reportOf(matrixOf(['berlin>paris', 'paris>berlin', 'rome>paris'], 12));

describe('the report of a bench', () => {
  it('has its parts in order, each with a heading and for each horizon', () => {
    expect([...page.matchAll(/<section id="([^"]+)">/g)].map(([, id]) => id)).toMatchInlineSnapshot(`
      [
        "summary",
        "models",
        "reliability",
        "tradeoff",
        "groups",
        "hours",
        "time",
        "worst",
        "best",
        "pairs",
        "weaknesses",
      ]
    `);
    expect(page.match(/<h3>4h ahead<\/h3>/g)!.length).toBeGreaterThanOrEqual(3);
    for (const anchor of page.matchAll(/href="#([^"]+)"/g)) expect(page).toContain(`<section id="${anchor[1]!}">`);
  });

  it('needs no script, no network, no font, and forbids them', () => {
    expect(page).not.toMatch(/<script|<link|<img|<iframe|<object|<embed|<base|@import|@font-face|url\(|\bon\w+=|javascript:|https?:/i);
    expect(page).not.toMatch(/ style="/); // the policy would drop it
    const style = /<style>([\s\S]*?)<\/style>/.exec(page)![1]!;
    expect(page).toContain(`content="default-src 'none'; style-src 'sha256-${createHash('sha256').update(style).digest('base64')}'; base-uri 'none'; form-action 'none'"`);
  });

  it('tells every chart to those who cannot see it, and has its figures', () => {
    const charts = page.match(/<svg [^>]*>/g)!;
    expect(charts.length).toBeGreaterThan(15);
    for (const chart of charts) expect(chart).toContain('role="img"');
    expect(page.match(/<svg [^>]*><title>[^<]+<\/title><desc>[^<]+<\/desc>/g)).toHaveLength(charts.length);
    expect(page.match(/<summary>/g)!.length).toBeGreaterThan(charts.length / 2);
    expect(page).toMatch(/<html lang="en">[\s\S]*<main>[\s\S]*<h1>|<h1>[\s\S]*<main>/);
  });

  it('is dark or light as the system is', () => {
    expect(page).toContain('@media (prefers-color-scheme:dark)');
    expect(page).toContain('<meta name="color-scheme" content="light dark">');
  });

  it('says no number that is none', () => {
    expect(page).not.toMatch(/NaN|undefined|Infinity|\[object/);
  });

  it('closes what it opens', () => {
    const open: string[] = [];
    for (const [, slash, name, rest] of page.matchAll(/<(\/?)([a-z0-9]+)((?:"[^"]*"|[^>])*)>/gi)) {
      if (rest!.endsWith('/') || ['meta', '!doctype'].includes(name!)) continue;
      if (slash === '') open.push(name!);
      else expect(open.pop()).toBe(name);
    }
    expect(open).toEqual([]);
  });

  it.each([
    ['one pair', matrixOf(['a>b'], 6)],
    ['two days', matrixOf(['a>b', 'b>a'], 2)],
    ['nothing but zeros', { ...matrixOf(['a>b', 'b>a'], 6), values: [new Float32Array(144), new Float32Array(144)] }],
    ['nothing known in the test', { ...matrixOf(['a>b', 'b>a'], 6), values: [0, 1].map(() => Float32Array.from({ length: 144 }, (_, slot) => (slot < 100 ? 3 : Number.NaN))) }],
    ['a table that counts steps', { ...matrixOf(['a>b', 'b>a'], 6), startAt: 0 }],
  ])('is made of %s, too', async (_, matrix) => {
    const text = await reportOf(matrix);
    expect(text).not.toMatch(/NaN|undefined|Infinity|\[object/);
    expect(text).toContain('</html>');
  });

  it('of 462 pairs is at most 2 MB', async () => {
    const names = Array.from({ length: 462 }, (_, pair) => `site-number-${Math.floor(pair / 21)}>site-number-${pair % 21}`);
    const text = await reportOf(matrixOf(names, 10, 96));
    expect(Buffer.byteLength(text)).toBeLessThan(2_000_000);
  });
});

describe('names from strangers', () => {
  const hostile = [
    '<script>alert(1)</script>',
    '"><img src=x onerror=alert(1)>',
    "'-alert(1)-'",
    '</title><script>alert(1)</script>',
    '</style><script>alert(1)</script>',
    '</svg><svg onload=alert(1)>',
    '<a href="javascript:alert(1)">x</a>',
    '&lt;script&gt;alert(1)&lt;/script&gt;',
    '&#60;script&#62;',
    ']]><script>alert(1)</script>',
    '<!--',
    '-->',
    '{{constructor.constructor("alert(1)")()}}',
    'a\u202egpj.exe>b',
    'zero\u200bwidth>b',
    'null\u0000byte>b',
    'lone \ud800 surrogate>b',
    '\ufeffbom>b',
    '${alert(1)}>`alert(1)`',
    'x'.repeat(5000),
    'style=position:fixed>onclick=alert(1)',
  ];

  it.each(hostile)('%j are shown as text wherever they stand', async (name) => {
    const quiet = await reportOf(matrixOf(['plain>name', 'other>name'], 5), 'plain', [['1h', 1]]);
    const text = await reportOf(matrixOf([name, 'other>name'], 5), name, [['1h', 1]]);
    const tags = (of: string): string[] => [...of.replaceAll(/"[^"]*"/g, '""').matchAll(/<[^>]*>/g)].map(([tag]) => tag);
    expect(tags(text)).toEqual(tags(quiet)); // the same elements and attributes: a name made none
    // oxlint-disable-next-line no-control-regex -- they are what must not be there
    expect(text).not.toMatch(/[\u0000\u200b\u202e\ufeff]/);
    expect(text).not.toMatch(/[\ud800-\udbff](?![\udc00-\udfff])/);
    expect(text.length).toBeLessThan(quiet.length + 30_000);
  });
});
