/** Aborts at the first SIGINT or SIGTERM, so that a command can clean up; a second one ends the process at once. */
export function endSignal(): AbortSignal {
  const controller = new AbortController();
  const end = (name: NodeJS.Signals): void => {
    if (controller.signal.aborted) process.exit(130);
    controller.abort(new Interrupted(name));
  };
  process.on('SIGINT', end);
  process.on('SIGTERM', end);
  return controller.signal;
}

/** Somebody ended the command; not an error to explain. */
export class Interrupted extends Error {
  constructor(name: string) {
    super(`ended by ${name}`);
  }
}
