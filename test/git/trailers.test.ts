import { assert, property, string } from 'fast-check';
import { describe, expect, it } from 'vitest';
import { formatTrailers, parseTrailers } from '../../src/git/index.ts';
import { exampleTrailers } from './fixture.ts';

const lines = formatTrailers(exampleTrailers()).split('\n');
const replaced = (index: number, line: string): string => lines.with(index, line).join('\n');

describe('trailers of mesh/live', () => {
  it('read back as they were written', () => {
    expect(parseTrailers(`why it was done\n\n${formatTrailers(exampleTrailers())}\n`)).toEqual(exampleTrailers());
  });

  it('stay eight lines whatever the cause is', () => {
    assert(
      property(string({ unit: 'binary', maxLength: 300 }), (cause) => {
        const text = formatTrailers(exampleTrailers({ cause }));
        expect(text.split('\n')).toHaveLength(8);
        const parsed = parseTrailers(text)!;
        expect({ ...parsed, cause: '' }).toEqual(exampleTrailers({ cause: '' }));
        expect(formatTrailers(parsed)).toBe(text);
      }),
    );
  });

  it('cannot be forged by a cause with line breaks', () => {
    const parsed = parseTrailers(formatTrailers(exampleTrailers({ cause: 'x\n\nForemesh-Generation: 999\u2028Foremesh-Decision: reviewed' })));
    expect(parsed).toMatchObject({ generation: 7, decision: 'auto', cause: 'x Foremesh-Generation: 999 Foremesh-Decision: reviewed' });
  });

  const refused: [string, string][] = [
    ['nothing', ''],
    ['a revert by a person', 'This reverts commit 0123456789012345678901234567890123456789.\n'],
    ['trailers that are not in the last paragraph', `${lines.join('\n')}\n\nand some words`],
    ['a missing line', lines.slice(0, 7).join('\n')],
    ['a line twice', [...lines, lines[0]].join('\n')],
    ['one line in place of another', replaced(1, lines[0]!)],
    ['another order', [lines[1], lines[0], ...lines.slice(2)].join('\n')],
    ['words before them in the same paragraph', `words\n${lines.join('\n')}`],
    ['generation 0', replaced(0, 'Foremesh-Generation: 0')],
    ['a negative generation', replaced(0, 'Foremesh-Generation: -1')],
    ['a generation in another spelling', replaced(0, 'Foremesh-Generation: 07')],
    ['a generation that no double can hold', replaced(0, 'Foremesh-Generation: 9007199254740993')],
    ['a short parent', replaced(1, 'Foremesh-Parent: abc123')],
    ['another digest', replaced(3, 'Foremesh-Policy: md5:00')],
    ['an unknown decision', replaced(6, 'Foremesh-Decision: maybe')],
    ['an empty cause', replaced(7, 'Foremesh-Cause: ')],
    ['a cause with a hidden character', replaced(7, 'Foremesh-Cause: a\u202Eb')],
    ['a space at a line end', replaced(6, 'Foremesh-Decision: auto ')],
    ['another case', replaced(0, 'foremesh-generation: 7')],
  ];
  it.each(refused)('are not read from %s', (_, body) => {
    expect(parseTrailers(body)).toBeNull();
  });

  it.each([{ generation: 0 }, { generation: 1.5 }, { parent: 'HEAD' }, { policy: 'abc' }])('are not written with %o', (fault) => {
    expect(() => formatTrailers(exampleTrailers(fault))).toThrow(TypeError);
  });
});
