import { Command, CommanderError } from 'commander';
import { ForemeshError, FindingsError, formatFinding, messageOf } from '../base/index.ts';
import { addAnomaliesCommand } from './commands/anomalies.ts';
import { addBenchCommand } from './commands/bench.ts';
import { addCheckCommand } from './commands/check.ts';
import { addDemoCommand } from './commands/demo.ts';
import { addExplainCommand, addReplayCommand } from './commands/explain.ts';
import { addForecastCommand } from './commands/forecast.ts';
import { addInitCommand } from './commands/init.ts';
import { addLabCommand } from './commands/lab.ts';
import { addNodeCommand } from './commands/node.ts';
import { addOverrideCommand, addVetoCommand } from './commands/override.ts';
import { addPlanCommand } from './commands/plan.ts';
import { addProposalCommand } from './commands/proposal.ts';
import { addAgentCommand, addJoinTokenCommand, addServeCommand } from './commands/serve.ts';
import { addStatusCommand } from './commands/status.ts';
import { Interrupted } from './end-signal.ts';
import { colors } from './output.ts';

/** The whole command line; one file a command. */
function buildProgram(): Command {
  const program = new Command('foremesh')
    .description('keeps an IPsec mesh between offices and clouds right before it goes wrong')
    .version('0.1.0')
    .showHelpAfterError('(foremesh COMMAND --help says more)')
    .configureOutput({ writeErr: (text) => process.stderr.write(text) })
    .exitOverride();
  addDemoCommand(program);
  addInitCommand(program);
  addCheckCommand(program);
  addPlanCommand(program);
  addServeCommand(program);
  addAgentCommand(program);
  addJoinTokenCommand(program);
  addNodeCommand(program);
  addStatusCommand(program);
  addForecastCommand(program);
  addAnomaliesCommand(program);
  addProposalCommand(program);
  addOverrideCommand(program);
  addVetoCommand(program);
  addExplainCommand(program);
  addReplayCommand(program);
  addLabCommand(program);
  addBenchCommand(program);
  return program;
}

/** Errors of ours as one line with its fix; anything else is a bug and shows its stack. */
function report(thrown: unknown): number {
  if (thrown instanceof Interrupted) {
    process.stderr.write(`foremesh: ${thrown.message}\n`);
    return 130;
  }
  if (thrown instanceof CommanderError) return thrown.exitCode === 0 ? 0 : 1;
  if (thrown instanceof FindingsError) {
    for (const finding of thrown.findings) process.stderr.write(`${formatFinding(finding)}\n`);
    return thrown.exitCode;
  }
  if (thrown instanceof ForemeshError) {
    const where = thrown.where ? `${thrown.where.file}:${thrown.where.line}:${thrown.where.column}  ` : '';
    process.stderr.write(`${colors.red('error')} ${where}${thrown.code}  ${thrown.what}\n      fix: ${thrown.fix}\n`);
    return thrown.exitCode;
  }
  process.stderr.write(`foremesh: this is a bug of ours: ${thrown instanceof Error ? (thrown.stack ?? thrown.message) : messageOf(thrown)}\n`);
  return 2;
}

try {
  await buildProgram().parseAsync(process.argv);
} catch (thrown) {
  process.exitCode = report(thrown);
}
