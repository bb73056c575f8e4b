/**
 * Requests a browser was tricked into: a cookie alone changes nothing. A change by cookie also needs the header
 * X-Croft-CSRF (which no foreign page can send without our consent, and we give none) or the browser's own word
 * that it comes from our page. Tokens and the unix socket are not sent by themselves, so they need neither.
 */
import { CroftError } from '../../../appliance/errors.ts';
import type { Server } from '../context.ts';
import { onChanges } from './changes.ts';

export function useCsrf(app: Server): void {
  onChanges(app, 'onRequest', async (request) => {
    const site = request.headers['sec-fetch-site'];
    const foreign = site !== undefined && site !== 'same-origin' && site !== 'none';
    const marked = request.headers['x-croft-csrf'] !== undefined;
    const byCookie = request.principal?.via === 'session';
    // Sign-in has no cookie yet, but signing someone in to another's account is an attack too.
    if ((byCookie && !marked && site !== 'same-origin') || (!request.principal && foreign && !marked)) {
      throw new CroftError('forbidden', 'This change came without the header X-Croft-CSRF and not from the console itself.', {
        fix: ['Send the header X-Croft-CSRF: 1, or use an API token.'],
      });
    }
  });
}
