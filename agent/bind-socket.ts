import type { Socket } from 'node:dgram';

/** Resolves when the socket listens there, alone. @throws the system's error, as EADDRINUSE or EADDRNOTAVAIL */
export function bindSocket(socket: Socket, port: number, address: string): Promise<void> {
  return new Promise((resolve, reject) => {
    socket.once('error', reject);
    socket.bind({ port, address, exclusive: true }, () => {
      socket.off('error', reject);
      resolve();
    });
  });
}
