import { describe, expect, it } from 'vitest';
import { readListedSas, stateOfTunnel } from '../../../agent/vici/index.ts';

const child = (id: number, state: string) => ({ uniqueid: String(id), state, 'encr-alg': 'AES_GCM_16', 'encr-keysize': '128', 'bytes-in': '10', 'bytes-out': String(id), 'packets-in': '1', 'packets-out': '2' });
const ike = (id: number, state: string, children: Record<string, unknown>) => ({ uniqueid: String(id), state, established: '7', 'child-sas': children }) as never;
const read = (id: number, state: string, children: Record<string, unknown>) => readListedSas({ 't-00000001': ike(id, state, children) });

describe('SAs as listed', () => {
  it.each<[string, Record<string, unknown>, string | null, number]>([
    ['the only child', { a: child(1, 'INSTALLED') }, 'INSTALLED', 1],
    ['the new child after a rekey', { a: child(1, 'DELETED'), b: child(2, 'INSTALLED') }, 'INSTALLED', 2],
    ['the old child while a rekey runs, as installed', { a: child(1, 'REKEYING'), b: child(2, 'CREATED') }, 'INSTALLED', 1],
    ['a child that comes up', { a: child(3, 'INSTALLING') }, 'INSTALLING', 3],
    ['no child when all are leaving', { a: child(1, 'DELETING'), b: child(2, 'REKEYED') }, null, 0],
    ['no child when there is none', {}, null, 0],
  ])('show %s', (_case, children, childState, bytesOut) => {
    expect(read(1, 'ESTABLISHED', children)).toMatchObject([{ state: { childState, bytesOut, tunnel: 't-00000001', establishedSeconds: 7 } }]);
  });

  it('are narrowed, with XFRM, when the peer takes less than any address', () => {
    const listed = (localTs: string, remoteTs: string) => readListedSas({ 't-00000001': ike(1, 'ESTABLISHED', { a: { ...child(1, 'INSTALLED'), 'local-ts': [localTs], 'remote-ts': [remoteTs] } }) }, 'xfrm')[0]?.state.childState;
    expect(listed('0.0.0.0/0', '0.0.0.0/0')).toBe('INSTALLED');
    expect(listed('0.0.0.0/0', '172.30.0.1/32')).toBe('NARROWED');
  });

  it('leave out IKE SAs that are on their way out', () => {
    expect(read(1, 'DELETING', { a: child(1, 'DELETING') })).toEqual([]);
    expect(read(1, 'REKEYED', {})).toEqual([]);
    expect(read(1, 'CONNECTING', {})).toHaveLength(1);
  });

  it('prefer the IKE SA that carries packets, then the newer', () => {
    const [carrying] = read(1, 'ESTABLISHED', { a: child(1, 'INSTALLED') });
    const [connecting] = read(2, 'CONNECTING', {});
    const [newer] = read(3, 'ESTABLISHED', { a: child(9, 'INSTALLED') });
    expect(stateOfTunnel([carrying!, connecting!])).toEqual(carrying!.state);
    expect(stateOfTunnel([connecting!, carrying!])).toEqual(carrying!.state);
    expect(stateOfTunnel([newer!, connecting!, carrying!])).toEqual({ ...newer!.state, besides: 1 });
  });
});
