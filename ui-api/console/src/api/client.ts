/** The console's instance of the one typed client: same origin, signed in by the session's cookie. */
import { createClient } from '../../../client/client.ts';

export const client = createClient({ headers: { 'x-croft-csrf': '1' } });
