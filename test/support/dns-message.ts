/** An answer as a resolver gives it: the question repeated, then records whose owners point into what is there already. */
export function dnsAnswer(asked: string, records: readonly { owner?: string; address?: string; alias?: string; ttl?: number }[], flags = 0x8180): Buffer {
  const question = Buffer.concat([nameBytes(asked), Buffer.from([0, 1, 0, 1])]);
  const answers = records.map(({ owner = asked, address, alias, ttl = 300 }) => {
    const name = owner === asked ? Buffer.from([0xc0, 12]) : nameBytes(owner);
    const data = address === undefined ? nameBytes(alias ?? '') : Buffer.from(address.split('.').map(Number));
    const head = Buffer.alloc(10);
    head.writeUInt16BE(address === undefined ? 5 : 1, 0);
    head.writeUInt16BE(1, 2);
    head.writeUInt32BE(ttl, 4);
    head.writeUInt16BE(data.length, 8);
    return Buffer.concat([name, head, data]);
  });
  const header = Buffer.alloc(12);
  header.writeUInt16BE(0x1234, 0);
  header.writeUInt16BE(flags, 2);
  header.writeUInt16BE(1, 4);
  header.writeUInt16BE(answers.length, 6);
  return Buffer.concat([header, question, ...answers]);
}

function nameBytes(name: string): Buffer {
  const labels = name.split('.').filter((label) => label !== '');
  return Buffer.concat([...labels.map((label) => Buffer.concat([Buffer.from([label.length]), Buffer.from(label)])), Buffer.from([0])]);
}
