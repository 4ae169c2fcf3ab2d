import { describe, expect, it } from 'vitest';
import { placeInJson } from '../../src/base/index.ts';

const TEXT = `{ "name": "a \\"{[", "list": [1, NaN,
  { "x": [ [], {} , 3 ], "a/b": -1.5e3 },
  "]}" ] , "last":true}`;

describe('placeInJson', () => {
  it.each([
    ['', 1, 1, '{ "name"'],
    ['/name', 1, 11, '"a '],
    ['/list/0', 1, 30, '1, NaN'],
    ['/list/1', 1, 33, 'NaN'],
    ['/list/2/x/2', 2, 21, '3 ]'],
    ['/list/2/a~1b', 2, 33, '-1.5e3'],
    ['/list/3', 3, 3, '"]}"'],
    ['/last', 3, 19, 'true'],
    ['/list/2/y/7', 2, 3, '{ "x"'],
    ['/list/9', 1, 29, '[1'],
  ])('finds %s', (pointer, line, column, there) => {
    const place = placeInJson('a.json', TEXT, pointer);
    expect(TEXT.split('\n')[place.line - 1]!.slice(place.column - 1)).toMatch(new RegExp(`^${there.replaceAll(/[{[\]}.]/g, String.raw`\$&`)}`));
    expect(place).toEqual({ file: 'a.json', line, column });
  });

  it.each(['', '{', '{"a', '[1,', '{"a":[1'])('ends on %j, which is cut off', (text) => {
    expect(placeInJson('a.json', text, '/a/1/b').line).toBe(1);
  });
});
