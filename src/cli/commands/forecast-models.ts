import { readFile } from 'node:fs/promises';
import { Argument, Option, type Command } from 'commander';
import { ForemeshError, messageOf, writeFileAtomic } from '../../base/index.ts';
import { ask } from '../engine-client.ts';
import type { EngineOptions } from '../options.ts';
import { printResult, renderTable, shortTime } from '../output.ts';
import { withEngine } from '../with-engine.ts';

interface Model {
  version: number;
  digest: string;
  origin: 'trained' | 'imported';
  registeredAt: string;
  trainedUntil: string;
  slots: number;
  pairs: number;
  bytes: number;
  backtest: { model: string; wape: number }[];
  serving: { group: string; model: string }[];
}

interface ModelsAnswer extends Record<string, unknown> {
  schema: string;
  active: number | null;
  isPinned: boolean;
  versions: Model[];
}

/**
 * `foremesh forecast models list`, `use 3`, `use latest`, `export model.fmm`, `export --onnx network.onnx`, `import model.fmm`.
 * A file holds the last ten days of demands: treat it as telemetry.
 */
export function addModelsCommand(forecast: Command): void {
  const models = forecast.command('models').description('the kept versions of what was learned');

  withEngine(models.command('list').description('versions, newest first, and which is in use'), async (client, options) => {
    const answer = await ask<ModelsAnswer>(client, 'GET', '/v1/forecasts/models');
    printResult(options.output, answer, () => renderModels(answer));
  });

  const use = models.command('use').description('forecast with this version, whatever is trained later; `latest` ends that').addArgument(new Argument('<version>', 'a number of the list, or latest'));
  withEngine(use, async (client, options, [version]) => {
    const answer = await ask<Record<string, unknown> & { schema: string; model: Model }>(client, 'POST', '/v1/forecasts/models/active', { version: version === 'latest' ? 'latest' : versionOf(version ?? '') });
    printResult(options.output, answer, () => `version ${answer.model.version} (${answer.model.digest}) forecasts from now on${version === 'latest' ? '' : '; foremesh forecast models use latest goes back to what is trained'}`);
  });

  const exporting = models
    .command('export')
    .description('write a version to a file; it holds the last ten days of demands')
    .argument('<file>', 'the file to write')
    .option('--number <n>', 'another version than the one in use')
    .addOption(new Option('--onnx', 'the network alone, for other programs (docs/network.md)'));
  withEngine<EngineOptions & { number?: string; onnx?: boolean }>(exporting, async (client, options, [file]) => {
    const version = options.number === undefined ? 'active' : versionOf(options.number);
    const answer = await ask<{ version: number; content: string }>(client, 'GET', `/v1/forecasts/models/${version}/file${options.onnx ? '?form=onnx' : ''}`);
    const bytes = Buffer.from(answer.content, 'base64');
    await writeFileAtomic(file!, bytes, 0o600);
    printResult(options.output, { schema: 'foremesh/model-export/v1', version: answer.version, file: file!, bytes: bytes.length }, () => `version ${answer.version} is in ${file} (${bytes.length} bytes)`);
  });

  withEngine(models.command('import').description('add a file as a version; it is not used until you say so').argument('<file>', 'a file that export wrote'), async (client, options, [file]) => {
    const bytes = await readFile(file!).catch((cause: unknown) => {
      throw new ForemeshError('FORECAST_MODEL_INVALID', { what: `${file} cannot be read: ${messageOf(cause)}`, fix: 'give a file that foremesh forecast models export wrote', cause });
    });
    const answer = await ask<Record<string, unknown> & { schema: string; model: Model }>(client, 'POST', '/v1/forecasts/models', { content: bytes.toString('base64') }).catch((cause: unknown) => {
      if (!(cause instanceof ForemeshError) || cause.code !== 'API_REQUEST_INVALID') throw cause;
      throw new ForemeshError('FORECAST_MODEL_INVALID', { what: cause.what, where: { file: file!, line: 1, column: 1 }, fix: cause.fix, cause });
    });
    printResult(options.output, answer, () => `${file} is version ${answer.model.version} (${answer.model.digest}); foremesh forecast models use ${answer.model.version}`);
  });
}

/** In use: `*`, or `pinned` when a person chose it. */
export function renderModels({ active, isPinned, versions }: ModelsAnswer): string {
  if (versions.length === 0) return 'nothing was learned yet';
  const rows = versions.map((model) => [
    model.version,
    model.version === active ? (isPinned ? 'pinned' : '*') : '',
    model.origin,
    shortTime(model.registeredAt),
    shortTime(model.trainedUntil),
    model.pairs,
    model.serving.map(({ group, model: name }) => `${group} ${name}`).filter((text, index, all) => all.indexOf(text) === index).join(', ') || null,
    model.backtest[0] ? `${(100 * model.backtest[0].wape).toFixed(1)} %` : null,
    model.digest.slice(0, 19),
  ]);
  return renderTable(['version', 'in use', 'origin', 'since', 'learned until', 'pairs', 'who serves', 'best WAPE', 'digest'], rows);
}

function versionOf(text: string): number {
  if (!/^[1-9]\d{0,8}$/.test(text)) throw new ForemeshError('CLI_USAGE', { what: `"${text.slice(0, 40)}" is no version`, fix: 'give a number that foremesh forecast models list shows, or latest' });
  return Number(text);
}
