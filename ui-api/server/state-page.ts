/** The page at / until there is a console: what runs here, in what state, and where to go on. Pure; no scripts. */
import type { Node } from '../../appliance/resources/croft-kinds.ts';
import { humanBytes } from '../../appliance/resources/quantity.ts';
import type { Principal } from '../auth/roles.ts';
import type { Vm } from '../schemas/vm.ts';

const escapes: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' };
export const escapeHtml = (text: string): string => text.replace(/[&<>"']/g, (character) => escapes[character] as string);

export const style = `
  :root { color-scheme: light dark; font-family: system-ui, sans-serif; line-height: 1.5 }
  body { max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
  table { border-collapse: collapse; width: 100% }
  th, td { text-align: left; padding: .3rem .8rem .3rem 0; border-bottom: 1px solid color-mix(in srgb, currentcolor 20%, transparent) }
  code { font-size: .95em }`;

function componentRows(node: Node): string {
  return (node.status?.components ?? [])
    .map(
      ({ name, version, state, message }) =>
        `<tr><td>${escapeHtml(name)}</td><td>${escapeHtml(version ?? '')}</td><td>${escapeHtml(state)}</td><td>${escapeHtml(message ?? '')}</td></tr>`,
    )
    .join('');
}

const vmRows = (vms: readonly Vm[]): string =>
  vms
    .map(
      ({ name, project, state, reason, cpus, memory, addresses }) =>
        `<tr><td>${escapeHtml(name)}</td><td>${escapeHtml(project)}</td><td>${escapeHtml(state)}${reason ? `: ${escapeHtml(reason)}` : ''}</td><td>${cpus} CPU, ${humanBytes(memory)}</td><td>${escapeHtml(addresses.join(', '))}</td></tr>`,
    )
    .join('');

function details(seen: { principal: Principal; node: Node | undefined; vms: readonly Vm[] }): string {
  const { principal, node, vms } = seen;
  const status = node?.status;
  const box = node
    ? `<p>Box <strong>${escapeHtml(node.metadata.name)}</strong>: ${status?.cpus ?? '?'} CPUs, ${status?.memory === undefined ? '?' : humanBytes(status.memory)} of memory, accelerator ${escapeHtml(status?.accelerator ?? 'unknown')}.</p>
<table><thead><tr><th scope="col">Component</th><th scope="col">Version</th><th scope="col">State</th><th scope="col"></th></tr></thead><tbody>${componentRows(node)}</tbody></table>`
    : '<p>The box has not reported its state yet.</p>';
  const table =
    vms.length === 0
      ? '<p>No virtual machines yet: <code>croft vm create t1 --image tiny --size tiny</code></p>'
      : `<table><thead><tr><th scope="col">Name</th><th scope="col">Project</th><th scope="col">State</th><th scope="col">Size</th><th scope="col">Addresses</th></tr></thead><tbody>${vmRows(vms)}</tbody></table>`;
  return `<p>Signed in as ${escapeHtml(principal.name)} (${principal.role}).</p><h2>Box</h2>${box}<h2>Virtual machines</h2>${table}`;
}

/** `seen` is what a signed-in person may know; a stranger gets the version and how to sign in. */
export function statePage(
  version: string,
  seen: { principal: Principal; node: Node | undefined; vms: readonly Vm[] } | undefined,
): string {
  const body = seen
    ? details(seen)
    : '<p>The service runs. On this box, <code>croft vm list</code> as root needs no sign-in; elsewhere use <code>croft login</code>, an API token, or <a href="/signin">sign in here</a>.</p>';
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Croft</title><style>${style}</style></head>
<body><h1>Croft ${escapeHtml(version)}</h1>
${body}
<h2>API</h2>
<ul><li><a href="/v1/openapi.json">OpenAPI description</a></li><li><a href="/v1/version">Version and features</a></li><li><a href="/healthz">Health</a>, <a href="/readyz">readiness</a></li></ul>
</body></html>
`;
}
