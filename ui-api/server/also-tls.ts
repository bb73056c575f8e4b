/**
 * TLS on the port that speaks plain HTTP, told apart by a connection's first byte. Loopback needs none, but clients of
 * Kubernetes send no token without it (client-go tools/clientcmd: credentials are for https only).
 */
import type { Server as HttpServer } from 'node:http';
import type { Server as HttpsServer } from 'node:https';
import type { Socket } from 'node:net';

/** The record type that a TLS client begins with (RFC 8446 §5.1: handshake). */
const handshake = 0x16;

/**
 * @param secure makes the server for TLS when the first client asks for it @param patience ms until a first byte
 * @returns what lets go, at the end, of clients that said nothing yet and, after ms, of those that speak TLS: a server
 * that closes waits for connections that no HTTP server knows of, too
 */
export function alsoTls(
  server: HttpServer,
  secure: () => Promise<HttpsServer>,
  patience: number,
  onError: (error: unknown) => void,
): (drainTime: number) => void {
  const undecided = new Set<Socket>();
  const secured = new Set<Socket>();
  const plain = server.listeners('connection') as ((socket: Socket) => void)[];
  server.removeAllListeners('connection');
  let made: Promise<HttpsServer> | undefined;
  const handOn = async (socket: Socket, isTls: boolean): Promise<void> => {
    if (isTls) {
      secured.add(socket);
      socket.once('close', () => secured.delete(socket));
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
    undecided.add(socket);
    socket.once('close', () => undecided.delete(socket));
    // A client that goes before it said anything left nothing to answer.
    socket.on('error', giveUp);
    socket.setTimeout(patience, giveUp);
    socket.once('data', (first: Buffer) => {
      undecided.delete(socket);
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
  const drop = (sockets: Set<Socket>): void => {
    for (const socket of sockets) socket.destroy();
  };
  return (drainTime) => {
    drop(undecided);
    setTimeout(drop, drainTime, secured).unref();
  };
}
