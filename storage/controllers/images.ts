/**
 * Image → bytes in its pool. The work runs beside the queue, one run per image, as a visible task; what it brought is
 * only believed from the pool itself, so a crash at any point means: begin again, with what was fetched so far.
 */
import { isCroftError, messageOf } from '../../appliance/errors.ts';
import { startController, watching, type Controller } from '../../appliance/reconcile/controller.ts';
import { image, poolOfImage, type Image } from '../../appliance/resources/croft-kinds.ts';
import { idLabel, newId } from '../../appliance/resources/identity.ts';
import { humanBytes } from '../../appliance/resources/quantity.ts';
import { setCondition } from '../../appliance/resources/meta.ts';
import { editObject, editStatus } from '../../appliance/store/edit.ts';
import { addFinalizer, idOf, poolForRemoval, removeFinalizer, type StorageContext } from './context.ts';
import { forgetWork, makeImage, type Phase } from './image-work.ts';
import { isLeftOver } from './left-over-images.ts';

const finalizer = 'croft.io/image';
/** Status is written at most this often, ms. */
const progressInterval = 1_000;

type Running = { abort: AbortController; done: Promise<void> };

export function startImageController(context: StorageContext): Controller {
  const { store, informers, pools, tasks, events, logger, uploads } = context;
  const running = new Map<string, Running>();
  let stopping = false;

  const setStatus = (
    name: string,
    change: Partial<NonNullable<Image['status']>>,
    ready?: { ok: boolean; reason: string; message: string },
  ) =>
    editStatus(store, image, { name }, (object) => {
      const condition = ready && {
        type: 'Ready',
        status: ready.ok ? ('True' as const) : ('False' as const),
        reason: ready.reason,
        message: ready.message,
      };
      object.status = {
        ...object.status,
        ...change,
        ...(condition ? { conditions: setCondition(object.status?.conditions, condition) } : {}),
      };
      // Undefined members would fail the schema.
      object.status = JSON.parse(JSON.stringify(object.status)) as NonNullable<Image['status']>;
    });

  const verbOf = ({ spec }: Image): string => (spec.source.build ? 'image.build' : 'image.import');

  async function work(object: Image, id: string, abort: AbortController): Promise<void> {
    const { name } = object.metadata;
    let written = 0;
    let latest: Phase | undefined;
    try {
      const driver = pools.get(poolOfImage(object));
      const made = await tasks.run({ verb: verbOf(object), target: { kind: 'Image', name }, cancellable: true }, async (handle) =>
        makeImage(context, {
          image: object,
          id,
          driver,
          signal: AbortSignal.any([handle.signal, abort.signal]),
          onOrigin: (origin) => setStatus(name, { origin }),
          report(phase, fraction, step) {
            // Half for getting the bytes, half for converting them; what is built needs no converting.
            const share = object.spec.source.build ? fraction : (phase === 'Converting' ? 0.5 : 0) + fraction / 2;
            handle.progress(share, step ?? phase.toLowerCase());
            if (phase === latest && Date.now() - written < progressInterval) return;
            latest = phase;
            written = Date.now();
            const progress = Math.round(fraction * 100) / 100;
            setStatus(name, { phase, progress, message: step ?? '' }).catch((error: unknown) =>
              logger.debug({ err: error, image: name }, 'progress not written'),
            );
          },
        }),
      );
      await setStatus(
        name,
        { phase: 'Ready', progress: 1, virtualSize: made.size, size: made.used, message: '' },
        { ok: true, reason: 'Ready', message: '' },
      );
      events.record({
        type: 'Normal',
        reason: 'ImageReady',
        message: `Image ${name} is ready: ${humanBytes(made.size)}.`,
        about: { kind: 'Image', name, id },
      });
    } catch (error) {
      // A deleted image or an ending service: not the image's failure; the next start begins again.
      if (stopping || abort.signal.aborted) return;
      // Worthless bytes are not kept.
      if (object.spec.source.upload) await uploads.drop(id);
      const message = isCroftError(error)
        ? error.message
        : error instanceof Error && error.name === 'AbortError'
          ? 'The work was cancelled.'
          : messageOf(error);
      if (!isCroftError(error)) logger.warn({ err: error, image: name }, 'making an image failed');
      const reason = isCroftError(error) ? error.code : 'Failed';
      await setStatus(
        name,
        { phase: 'Failed', message, observedGeneration: object.metadata.generation },
        { ok: false, reason, message },
      );
      events.record({
        type: 'Warning',
        reason: 'ImageFailed',
        message: `Image ${name}: ${message}`,
        about: { kind: 'Image', name, id },
      });
    }
  }

  async function remove(object: Image): Promise<void> {
    const { name } = object.metadata;
    const current = running.get(name);
    current?.abort.abort();
    await current?.done;
    const id = idOf(object);
    if (id) {
      await uploads.drop(id);
      await poolForRemoval(context, poolOfImage(object))?.deleteImage(id);
      await forgetWork(context, id);
    }
    await editObject(store, image, { name }, (draft) => removeFinalizer(draft, finalizer));
  }

  const controller = startController({
    name: 'images',
    logger,
    gate: context.gate,
    watches: [
      watching(informers.image),
      // With its disks goes what an imported VM has left of images.
      watching(informers.dataVolume, ({ spec }) => (spec.sourceRef ? [spec.sourceRef.name] : [])),
    ],
    async reconcile(name) {
      let object = await store.get(image, name);
      if (!object) return;
      if (object.metadata.deletionTimestamp) {
        if (object.metadata.finalizers?.includes(finalizer)) await remove(object);
        return;
      }
      const leftOver = await isLeftOver(store, object);
      if (leftOver === true) {
        logger.info({ image: name }, 'an image of an import is removed: its VM is gone');
        await store.delete(image, name);
        return;
      }
      if (leftOver !== undefined) controller.enqueueAfter(name, leftOver);
      object = await editObject(store, image, { name }, (draft) => {
        if (draft.metadata.deletionTimestamp) return false;
        addFinalizer(draft, finalizer);
        draft.metadata.labels = { ...draft.metadata.labels, [idLabel]: idOf(draft) ?? newId() };
        return undefined;
      });
      const id = object && idOf(object);
      if (!object || !id || object.metadata.deletionTimestamp || running.has(name)) return;
      const { phase, observedGeneration } = object.status ?? {};
      // A failure stands until the wish changes: the same bytes would fail the same way.
      if (phase === 'Failed' && observedGeneration === object.metadata.generation) return;
      if (phase === 'Ready' && (await pools.get(poolOfImage(object)).getImage(id))) return;
      if (object.spec.source.upload && !(await pools.get(poolOfImage(object)).getImage(id)) && !(await uploads.state(id))) {
        if (phase !== 'Pending') await setStatus(name, { phase: 'Pending', message: 'Waiting for the upload.' });
        return;
      }
      // Asked before the task begins: a pool that is not open yet is waited for, not a failed image.
      pools.get(poolOfImage(object));
      const abort = new AbortController();
      const done = work(object, id, abort)
        .catch((error: unknown) => logger.error({ err: error, image: name }, 'the status of an image could not be written'))
        .finally(() => {
          running.delete(name);
          if (!stopping) controller.enqueue(name);
        });
      running.set(name, { abort, done });
    },
  });

  return {
    ...controller,
    async stop() {
      stopping = true;
      for (const { abort } of running.values()) abort.abort();
      await Promise.all([...running.values()].map(({ done }) => done));
      await controller.stop();
    },
  };
}
