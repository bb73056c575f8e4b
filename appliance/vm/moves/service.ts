/**
 * Moving volumes between pools, theory of operation.
 *
 * A VolumeMove is the wish. The volume keeps its id and its claim; a second volume of the same id is made in the other
 * pool and filled, by a mirror job of the guest's own QEMU (mirror.ts) or, where nobody has it open, by qemu-img
 * (copy-closed.ts). Then one compare-and-swap on the claim (`croft.io/pool`) says that the other one is the disk, and the
 * first is dropped. While it goes on the claim is marked (`croft.io/move`): starts, snapshots, growing and deletion
 * of the volume wait for it. What is to be done next is decided from what is (plan-move.ts), so that a crash needs no
 * code of its own: a mirror that was cut off from its service is found in QEMU and taken up again.
 */
import type { Logger } from '../../host/logger.ts';
import { startController, watching } from '../../reconcile/controller.ts';
import { fromKey, keyOf, type Informer } from '../../reconcile/informer.ts';
import { moveAnnotation, type persistentVolumeClaim } from '../../resources/data-volume.ts';
import type { volumeMove } from '../../resources/volume-move.ts';
import type { VmContext } from '../context.ts';
import { copyClosed as copyWithQemuImg, type CopyClosed } from './copy-closed.ts';
import { createConvergence } from './convergence.ts';
import { createCopies } from './copies.ts';
import { reconcileMove } from './move-reconciler.ts';

export type MoveInformers = {
  volumeMove: Informer<typeof volumeMove>;
  persistentVolumeClaim: Informer<typeof persistentVolumeClaim>;
};

export type MoveOptions = {
  logger: Logger;
  /** Gives back what `ownerOf` took for an id. */
  retire: (id: string) => Promise<void>;
  /** Default: qemu-img. */
  copyClosed?: CopyClosed | undefined;
};

/** Guests must have been adopted: their mirrors are taken up again. */
export function startMoves(context: VmContext, informers: MoveInformers, options: MoveOptions): { stop(): Promise<void> } {
  const { logger, retire, copyClosed = copyWithQemuImg } = options;
  const { volumeMove: moves, persistentVolumeClaim: claims } = informers;
  const copies = createCopies(copyClosed, { onEnd: (key) => controller.enqueue(key), retire, logger });
  const convergence = createConvergence();
  const controller = startController({
    name: 'volume-move',
    logger,
    gate: context.peers?.gate,
    watches: [
      watching(moves),
      // Also the move a claim is marked with, which may be there no more.
      watching(claims, ({ metadata }) => {
        const move = metadata.annotations?.[moveAnnotation];
        return move === undefined ? [] : [`${metadata.namespace}/${move}`];
      }),
    ],
    reconcile: (key) => reconcileMove({ context, copies, convergence }, { namespace: 'default', ...fromKey(key) }),
  });
  context.registry.onChange((id) => {
    for (const move of moves.list()) if (move.status?.croft?.vmId === id) controller.enqueue(keyOf(move));
  });
  return {
    async stop() {
      await controller.stop();
      await copies.stop();
    },
  };
}
