/**
 * The pages /setup (one-time link) and /signin, until the console has its own. The link's token stands after the #,
 * which browsers send to no one; the script, a file of its own under the content policy, hands it to `/v1/setup`.
 */
import { style } from './state-page.ts';

const page = (version: string, title: string, fields: string): string => `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>${title} · Croft</title><style>${style}
  form { display: grid; gap: .8rem; max-width: 22rem } label { display: grid } input, button { font: inherit; padding: .4rem }</style></head>
<body><h1>${title}</h1>
<form method="post">${fields}
<p role="alert" id="problem"></p></form>
<p><small>Croft ${version}</small></p>
<script type="module" src="/signin.js"></script></body></html>
`;

const user = (value: string): string =>
  `<label>User <input name="user" autocomplete="username" required${value ? ` value="${value}"` : ''}></label>`;

const setupFields = `${user('admin')}
<label>New password, at least 10 characters <input name="password" type="password" autocomplete="new-password" minlength="10" required></label>
<button>Set password and sign in</button>`;

const signInFields = `${user('')}
<label>Password <input name="password" type="password" autocomplete="current-password" required></label>
<button>Sign in</button>`;

const script = `const form = document.querySelector('form');
const isSetup = location.pathname === '/setup';
const token = location.hash.slice(1);
// A link for one user carries the name after the dot; only the first administrator chooses one.
const owner = token.slice(token.indexOf('.') + 1);
if (isSetup && owner) form.user.closest('label').remove();
form.addEventListener('submit', async (event) => {
  event.preventDefault();
  const fields = Object.fromEntries(new FormData(form));
  const answer = await fetch(isSetup ? '/v1/setup' : '/v1/session', {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'x-croft-csrf': '1' },
    body: JSON.stringify(isSetup ? { ...fields, token } : fields),
  });
  if (answer.ok) location.replace('/');
  else document.querySelector('#problem').textContent = (await answer.json()).detail;
});
`;

/** Address, content type and content of each file. */
export const signInFiles = (version: string): [url: string, type: string, content: string][] => [
  ['/setup', 'text/html; charset=utf-8', page(version, 'Set up Croft', setupFields)],
  ['/signin', 'text/html; charset=utf-8', page(version, 'Sign in', signInFields)],
  ['/signin.js', 'text/javascript; charset=utf-8', script],
];
