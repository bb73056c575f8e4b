/**
 * TLS on the port that speaks plain HTTP, told apart by a connection's first byte. Loopback needs none, but clients of
 * Kubernetes send no token without it (client-go tools/clientcmd: credentials are for https only).
 */
import type { Server as HttpServer } from 'node:http';
import type { Server as HttpsServer } from 'node:https';
import type { Socket } from 'node:net';

/** The record type that a TLS client begins with (RFC 8446 §5.1: handshake). */
const handshake = 0x16;

/** @param secure makes the server for TLS when the first client asks for it @param patience ms until a first byte */
export function alsoTls(
  server: HttpServer,
  secure: () => Promise<HttpsServer>,
  patience: number,
  onError: (error: unknown) => void,
): void {
  const plain = server.listeners('connection') as ((socket: Socket) => void)[];
  server.removeAllListeners('connection');
  let made: Promise<HttpsServer> | undefined;
  const handOn = async (socket: Socket, isTls: boolean): Promise<void> => {
    if (isTls) {
      made ??= secure();
      // One that could not be made is tried again by the next client.
      const found = await made.catch((error: unknown) => {
        made = undefined;
        throw error;
      });
      found.emit('connection', socket);
    } else for (const listener of plain) listener.call(server, socket);
    socket.resume();
  };
  server.on('connection', (socket: Socket) => {
    const giveUp = (): void => void socket.destroy();
    // A client that goes before it said anything left nothing to answer.
    socket.on('error', giveUp);
    socket.setTimeout(patience, giveUp);
    socket.once('data', (first: Buffer) => {
      socket.pause();
      socket.unshift(first);
      socket.off('timeout', giveUp);
      socket.setTimeout(0);
      handOn(socket, first[0] === handshake)
        .catch((error: unknown) => {
          onError(error);
          socket.destroy();
        })
        .finally(() => socket.off('error', giveUp));
    });
  });
}
