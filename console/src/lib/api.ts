/** Asking the gateway for what the stream does not carry, and for changes. */

const PATIENCE_MS = 10_000;

/** What went wrong, in the gateway's own sentence. */
export class Refused extends Error {}

/** The JSON at `path`. Throws Refused. */
export async function read<T>(path: string): Promise<T> {
  return (await ask(path, { method: 'GET' })) as T;
}

/** Ask for a change. Throws Refused. */
export async function change(method: string, path: string, body: object): Promise<void> {
  await ask(path, {
    method,
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ operation_id: newOperationId(), author: 'console', ...body }),
  });
}

/** 128 random bits, hex; `crypto.randomUUID` is not there on plain HTTP. */
function newOperationId(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join('');
}

async function ask(path: string, init: RequestInit): Promise<unknown> {
  let answer: Response;
  try {
    answer = await fetch(path, { ...init, signal: AbortSignal.timeout(PATIENCE_MS) });
  } catch {
    throw new Refused('The site does not answer.');
  }
  let found: unknown;
  try {
    found = await answer.json();
  } catch {
    throw new Refused(`The site answered with status ${answer.status}.`);
  }
  if (answer.ok) return found;
  const detail = (found as { detail?: unknown }).detail;
  throw new Refused(typeof detail === 'string' && detail ? detail : `Refused (${answer.status}).`);
}
