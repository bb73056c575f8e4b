/** How long a certificate is still good. Pure. */
const month = 30 * 86_400_000;

export function validityOf({ notAfter }: { notAfter?: string }, now = Date.now()): 'valid' | 'ending' | 'ended' {
  const left = notAfter === undefined ? Number.POSITIVE_INFINITY : Date.parse(notAfter) - now;
  return left <= 0 ? 'ended' : left < month ? 'ending' : 'valid';
}
