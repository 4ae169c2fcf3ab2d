/**
 * Does `action` for every item, at most `atOnce` at a time. After a failure nothing new is begun, and the error is
 * thrown only when everything begun has ended: whoever cleans up then meets no straggler.
 */
export async function inGroups<T>(items: readonly T[], atOnce: number, action: (item: T) => Promise<void>): Promise<void> {
  const queue = [...items];
  const worker = async (): Promise<void> => {
    try {
      for (let next = queue.shift(); next !== undefined; next = queue.shift()) await action(next);
    } catch (cause) {
      queue.length = 0;
      throw cause;
    }
  };
  await allEnded(Array.from({ length: atOnce }, worker));
}

/** As `Promise.all`, but waits for all to end before it throws the first error. */
export async function allEnded(tasks: readonly Promise<void>[]): Promise<void> {
  const failed = (await Promise.allSettled(tasks)).find((result) => result.status === 'rejected');
  if (failed) throw failed.reason;
}
