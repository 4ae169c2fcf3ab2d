import { writeFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import type { Command } from 'commander';
import { ForemeshError, formatFinding, messageOf, systemClock } from '../../base/index.ts';
import { certificateReasons, certificateSentence } from '../../model/index.ts';
import { findOpa } from '../../policy/index.ts';
import { checkRepository } from '../../reconcile/index.ts';
import { outputOption, type CommonOptions } from '../options.ts';
import { colors, printResult, renderChangeLine, tell } from '../output.ts';
import { previewInstance, previewPlan, readPlanAt, type PlanPreview } from '../plan-repository.ts';
import { findingsAsText } from '../report-formats.ts';

interface PlanOptions extends CommonOptions {
  against: string;
  detailedExitcode?: boolean;
  exportInstance?: string;
}

/** `foremesh plan [DIR]`: as `terraform plan`. Exit 0 fine, 1 error or denied by policy; with --detailed-exitcode 2 when there are changes. */
export function addPlanCommand(program: Command): void {
  program
    .command('plan')
    .argument('[dir]', 'mesh repository (holds mesh-config/ and policies/)', '.')
    .description('the plan this tree leads to, its difference from the running one, verdict, cost, reachability gained and lost')
    .option('--against <ref>', 'git ref of the running plan', 'mesh/live')
    .option('--detailed-exitcode', 'exit with 2 when there are changes')
    .option('--export-instance <file>', 'also write the planning problem, with the plan for it, as a te-instance/1 (docs/planning.md)')
    .addOption(outputOption())
    .action(async (dir: string, options: PlanOptions) => {
      const root = resolve(dir);
      const now = systemClock.now();
      const checked = await checkRepository(root, await findOpa(), now);
      if (!checked.located || !checked.policy || checked.findings.some(({ severity }) => severity === 'error')) {
        printResult(options.output, { schema: 'foremesh/plan-preview/v1', findings: checked.findings }, () => findingsAsText(checked.findings));
        process.exitCode = 1;
        return;
      }
      const previous = (await readPlanAt(root, options.against)) ?? (await readPlanAt(root, `origin/${options.against}`));
      if (!previous && options.against !== 'mesh/live') {
        throw new ForemeshError('CLI_USAGE', { what: `there is no plan at ${options.against}`, fix: 'name a ref that holds plan/mesh.yaml, such as mesh/live or a commit on it' });
      }
      if (options.exportInstance !== undefined) await writeInstance(options.exportInstance, JSON.stringify(previewInstance(checked.located.intent, previous?.plan ?? null, now)));
      const preview = await previewPlan({ located: checked.located, policy: checked.policy, previous, now });
      printResult(options.output, { schema: 'foremesh/plan-preview/v1', ...preview }, () => renderPreview(preview));
      process.exitCode = preview.verdict.decision === 'deny' || preview.findings.some(({ severity }) => severity === 'error') ? 1 : options.detailedExitcode && preview.changeset.changes.length > 0 ? 2 : 0;
    });
}

async function writeInstance(file: string, text: string): Promise<void> {
  await writeFile(file, `${text}\n`).catch((cause: unknown) => {
    throw new ForemeshError('CLI_USAGE', { what: `the instance cannot be written: ${messageOf(cause)}`, fix: 'pass --export-instance FILE.json in a folder that exists', cause });
  });
  tell(`instance written to ${file}`);
}

export function renderPreview(preview: PlanPreview): string {
  const { changeset, verdict, reachability } = preview;
  const { certificate } = preview.report;
  const rerouted = changeset.changes.filter(({ key }) => key.kind === 'reroute').length;
  const denied = verdict.decision === 'deny' ? verdict.reasons.filter(({ severity }) => severity === 'error').length : 0;
  const cost = `${changeset.usdPerMonthDelta >= 0 ? '+' : '-'}$${Math.abs(changeset.usdPerMonthDelta).toFixed(2)} a month`;
  const decision = { allow: colors.green('would be applied at once'), needsApproval: colors.yellow('would become a proposal'), deny: colors.red('denied by policy') }[verdict.decision];
  return [
    preview.against ? `against ${preview.against.slice(0, 12)}` : 'against nothing: this would be the first plan',
    '',
    ...changeset.changes.map(({ summary }) => `  ${renderChangeLine(summary)}`),
    ...(changeset.changes.length > 0 ? [''] : []),
    `Plan: ${changeset.tunnelsAdded} to add, ${changeset.tunnelsMoved} to move, ${changeset.tunnelsRemoved} to remove, ${rerouted} links re-routed, ${denied} denied by policy. ${cost}.`,
    ...reachability.gained.map((pair) => `  ${colors.green('+')} ${pair} may talk`),
    ...reachability.lost.map((pair) => `  ${colors.red('-')} ${pair} may no longer talk`),
    ...(certificate ? [`Proven: ${certificateSentence(certificate)}.`, ...certificateReasons(certificate).map((reason) => `  ${reason}`)] : []),
    `Verdict: ${decision}`,
    ...preview.findings.map((finding) => `  ${formatFinding(finding)}`),
  ].join('\n');
}
