import { describe, expect, it } from 'vitest';
import { chooseDriver, type DriverEvidence, objectionTo } from '../../agent/driver-choice.ts';

const KERNEL_ESP = ['openssl', 'kernel-netlink', 'vici'];
const USERSPACE_ESP = ['openssl', 'kernel-libipsec', 'kernel-netlink', 'vici'];

describe('the driver of a node', () => {
  it.each<[string, DriverEvidence, string]>([
    ['XFRM where daemon and kernel do it', { plugins: KERNEL_ESP, interfaces: null, kernelHasXfrm: true }, 'xfrm'],
    ['libipsec where the daemon does ESP itself, whatever the kernel can', { plugins: USERSPACE_ESP, interfaces: 'xfrm', kernelHasXfrm: true }, 'libipsec'],
    ['libipsec on a kernel without XFRM', { plugins: null, interfaces: null, kernelHasXfrm: false }, 'libipsec'],
    ['what was there, while the daemon is away', { plugins: null, interfaces: 'libipsec', kernelHasXfrm: true }, 'libipsec'],
    ['what the kernel can, on a first start without a daemon', { plugins: null, interfaces: null, kernelHasXfrm: true }, 'xfrm'],
    ['XFRM when the daemon no longer does ESP itself, though VXLAN interfaces are left', { plugins: KERNEL_ESP, interfaces: 'libipsec', kernelHasXfrm: true }, 'xfrm'],
  ])('is %s', (_case, evidence, driver) => {
    expect(chooseDriver(evidence).driver).toBe(driver);
  });

  it('is objected to when it is named and cannot work', () => {
    expect(objectionTo('xfrm', { plugins: USERSPACE_ESP, interfaces: null, kernelHasXfrm: true })).toContain('kernel-libipsec');
    expect(objectionTo('xfrm', { plugins: KERNEL_ESP, interfaces: null, kernelHasXfrm: false })).toContain('kernel');
    expect(objectionTo('libipsec', { plugins: KERNEL_ESP, interfaces: null, kernelHasXfrm: true })).toContain('lacks');
    expect(objectionTo('xfrm', { plugins: null, interfaces: null, kernelHasXfrm: true })).toBeNull();
    expect(objectionTo('libipsec', { plugins: USERSPACE_ESP, interfaces: null, kernelHasXfrm: false })).toBeNull();
  });
});
