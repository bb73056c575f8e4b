/**
 * ETag and If-Match. The tag names the version of what a person wishes (spec and labels), not of what the box
 * observed: a guest that gets its address meanwhile spoils nobody's change.
 */
import { hash } from 'node:crypto';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { CroftError } from '../../appliance/errors.ts';
import type { Resource } from '../../appliance/resources/meta.ts';

/** Tags of objects that can't change any more: those the store shares among its readers. */
const known = new WeakMap<Resource, string>();

export function etagOf(object: Resource): string {
  const found = known.get(object);
  if (found !== undefined) return found;
  const { metadata, spec } = object;
  const wish = JSON.stringify([metadata.uid, metadata.generation, metadata.labels, metadata.annotations, spec]);
  const made = `"${hash('sha256', wish, 'base64url').slice(0, 22)}"`;
  if (Object.isFrozen(object)) known.set(object, made);
  return made;
}

export const tag = (reply: FastifyReply, object: Resource): FastifyReply => reply.header('etag', etagOf(object));

/**
 * Holds a request to its If-Match. `optional` for parts that name themselves exactly (one NIC, one disk).
 * @throws CroftError `precondition-required`, `precondition-failed`
 */
export function checkIfMatch(request: FastifyRequest, object: Resource, { optional = false } = {}): void {
  const given = request.headers['if-match'];
  if (given === undefined) {
    if (optional) return;
    throw new CroftError('precondition-required', 'If-Match is missing: send the ETag you read, or * for whatever it is now.');
  }
  const tags = given.split(',').map((entry) => entry.trim());
  if (tags.includes('*') || tags.includes(etagOf(object))) return;
  throw new CroftError(
    'precondition-failed',
    `${object.kind} ${object.metadata.name} is not the version you read: it changed meanwhile.`,
  );
}
