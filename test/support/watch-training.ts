import type { Forecaster } from '../../src/forecast/index.ts';

/** The same forecaster; `seen` is told of each training as it begins. */
export function watchTraining(inner: Forecaster, seen: (task: Parameters<Forecaster['train']>[0]) => void): Forecaster {
  return {
    train: (task, onProgress) => {
      seen(task);
      return inner.train(task, onProgress);
    },
    forecast: (...args) => inner.forecast(...args),
    dump: () => inner.dump(),
    restore: (...args) => inner.restore(...args),
    inspect: (file) => inner.inspect(file),
    exportOnnx: (file) => inner.exportOnnx(file),
    close: () => inner.close(),
  };
}
