import { createSocket, type Socket } from 'node:dgram';
import { bindSocket } from '../bind-socket.ts';
import type { NamePort } from '../ports.ts';
import { answerPort } from './names.ts';

/**
 * Hears answers on one UDP socket a resolver: the sender of a packet is the host it is for, as `answerRules` have written
 * it, and what is sent back gets the resolver's address and port by them.
 */
export const listenForAnswers: NamePort['listen'] = async (address, resolvers, onAnswer) => {
  const sockets: Socket[] = [];
  const close = (): void => {
    for (const socket of sockets.splice(0)) socket.close();
  };
  try {
    for (const index of resolvers.keys()) {
      const socket = createSocket({ type: 'udp4', lookup: (host, _options, callback) => callback(null, host, 4) });
      sockets.push(socket);
      await bindSocket(socket, answerPort(index), address);
      socket.on('error', () => undefined); // an answer that could not be passed on: the host asks again
      socket.on('message', (message, { address: host, port }) => {
        onAnswer({ message, pass: () => void (sockets.includes(socket) && socket.send(message, port, host, () => undefined)) });
      });
    }
  } catch (cause) {
    close();
    throw cause;
  }
  return close;
};
