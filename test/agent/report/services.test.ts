import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { SERVICES_MS, ServiceBook } from '../../../agent/report/index.ts';
import type { ServiceCount } from '../../../agent/ports.ts';
import { classId, siteId } from '../../../src/model/index.ts';
import { berlin } from '../../support/node-configs.ts';

const OF = { node: berlin, site: siteId('berlin') };
const count = (service: string, of: number, to = 'paris'): ServiceCount => ({ to: siteId(to), classId: classId('bulk'), service, count: of });
const told = (book: ServiceBook, at: number, ...counts: ServiceCount[]): unknown[] => book.samples(counts, at, OF).flatMap((sample) => (sample.kind === 'services' ? [[sample.to, sample.service, sample.connections ?? sample.packets]] : []));

describe('counts by service', () => {
  it('are those of the window, of each protocol the most first, and fewer than five are not told', () => {
    const book = new ServiceBook();
    expect(told(book, 1_000, count('tcp/443', 100))).toEqual([]); // nobody knows since when
    expect(told(book, 301_000, count('tcp/443', 105), count('udp/53', 9), count('tcp/22', 4), count('tcp/80', 8), count('tcp/443', 6, 'rome'))).toEqual([['paris', 'tcp/80', 8], ['paris', 'tcp/443', 5], ['paris', 'udp/53', 9], ['rome', 'tcp/443', 6]]);
  });

  it('are connections of TCP and packets of UDP, and many packets push no connections out', () => {
    const book = new ServiceBook();
    book.samples([], 1_000, OF);
    const packets = Array.from({ length: 12 }, (_, index) => count(`udp/${index + 1}`, 1_000_000 - index));
    const samples = book.samples([...packets, count('tcp/443', 5)], 301_000, OF).flatMap((sample) => (sample.kind === 'services' ? [sample] : []));
    expect(samples.filter(({ service }) => service.startsWith('udp/'))).toHaveLength(10);
    expect(samples.find(({ service }) => service === 'udp/1')).toMatchObject({ connections: null, packets: 1_000_000 });
    expect(samples.find(({ service }) => service === 'tcp/443')).toMatchObject({ connections: 5, packets: null });
  });

  it('are 0 once where they were told before and are too few now, and all of a counter that began again', () => {
    const book = new ServiceBook();
    told(book, 1_000, count('tcp/443', 100), count('udp/53', 50));
    told(book, 301_000, count('tcp/443', 200), count('udp/53', 60));
    expect(told(book, 601_000, count('tcp/443', 204), count('udp/53', 8))).toEqual([['paris', 'udp/53', 8], ['paris', 'tcp/443', 0]]);
    expect(told(book, 901_000, count('tcp/443', 204), count('udp/53', 8))).toEqual([['paris', 'udp/53', 0]]);
    expect(told(book, 1_201_000)).toEqual([]);
  });

  it('are read every five minutes, also after a step of the clock, of which nothing is told', () => {
    const book = new ServiceBook();
    expect(book.isDue(5_000_000)).toBe(true);
    told(book, 5_000_000, count('tcp/443', 1));
    expect([book.isDue(5_000_000 + SERVICES_MS - 1), book.isDue(5_000_000 + SERVICES_MS), book.isDue(4_000_000)]).toEqual([false, true, true]);
    expect(told(book, 4_000_000, count('tcp/443', 50))).toEqual([]);
    expect(told(book, 4_300_000, count('tcp/443', 60))).toEqual([['paris', 'tcp/443', 10]]);
  });

  it('are at most ten a pair, class and protocol, none of them between 0 and 5, whatever is counted', () => {
    const counts = fc.uniqueArray(fc.record({ port: fc.nat(60), of: fc.nat(30), to: fc.constantFrom('paris', 'rome') }), { selector: ({ port, to }) => `${to} ${port}`, maxLength: 60 });
    fc.assert(
      fc.property(fc.array(counts, { maxLength: 5 }), (readings) => {
        const book = new ServiceBook();
        readings.forEach((reading, index) => {
          const figures = (told(book, (index + 1) * SERVICES_MS, ...reading.map(({ port, of, to }) => count(`tcp/${port}`, of, to))) as [string, string, number][]).filter(([, , of]) => of > 0);
          expect(figures.every(([, , of]) => of >= 5)).toBe(true);
          for (const site of ['paris', 'rome']) expect(figures.filter(([to]) => to === site).length).toBeLessThanOrEqual(10);
        });
      }),
    );
  });
});
