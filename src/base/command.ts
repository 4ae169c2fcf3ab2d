import { spawn } from 'node:child_process';
import { helperRun, TIMEOUT_MS, type ProgramEnd } from './command-helper.ts';
import { ForemeshError } from './errors.ts';

export interface CommandOptions {
  stdin?: string | Uint8Array;
  env?: NodeJS.ProcessEnv;
  cwd?: string;
  /** Killed after this long; default 60 s. */
  timeoutMs?: number;
}

export interface CommandResult {
  exitCode: number;
  stdout: Buffer;
  stderr: string;
}

/**
 * Runs a program by argument array (never a shell) and gives its exit code and output, whatever the code is. Goes
 * through the command helper where the program keeps one.
 * @throws ForemeshError TOOL_MISSING, COMMAND_FAILED when it cannot be started
 */
export async function runCommand(program: string, args: readonly string[], options: CommandOptions = {}): Promise<CommandResult> {
  try {
    const { exitCode, signal, stdout, stderr } = await (helperRun() ?? runHere)(program, args, options);
    return {
      exitCode: exitCode ?? (signal ? 128 : 1),
      stdout: Buffer.from(stdout.buffer, stdout.byteOffset, stdout.byteLength),
      stderr: Buffer.from(stderr).toString('utf8') + (signal ? `\n${program} was ended by ${signal}` : ''),
    };
  } catch (cause) {
    const isMissing = (cause as NodeJS.ErrnoException).code === 'ENOENT';
    throw new ForemeshError(isMissing ? 'TOOL_MISSING' : 'COMMAND_FAILED', {
      what: `${program} could not be started`,
      fix: `install ${program} and see that it is on PATH`,
      cause,
    });
  }
}

function runHere(program: string, args: readonly string[], options: CommandOptions): Promise<ProgramEnd> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, {
      stdio: ['pipe', 'pipe', 'pipe'],
      timeout: options.timeoutMs ?? TIMEOUT_MS,
      killSignal: 'SIGKILL',
      ...(options.env ? { env: options.env } : {}),
      ...(options.cwd ? { cwd: options.cwd } : {}),
    });
    const stdout: Buffer[] = [];
    const stderr: Buffer[] = [];
    child.stdout.on('data', (chunk: Buffer) => stdout.push(chunk));
    child.stderr.on('data', (chunk: Buffer) => stderr.push(chunk));
    child.stdin.on('error', () => undefined); // EPIPE: the program may stop before it has read everything; its exit code tells
    child.on('error', reject);
    child.on('close', (exitCode, signal) => resolve({ exitCode, signal, stdout: Buffer.concat(stdout), stderr: Buffer.concat(stderr) }));
    child.stdin.end(options.stdin);
  });
}

/** As `runCommand`, for programs that must succeed: gives stdout as text. @throws ForemeshError COMMAND_FAILED with the last of stderr */
export async function runCommandText(program: string, args: readonly string[], options: CommandOptions = {}): Promise<string> {
  const result = await runCommand(program, args, options);
  if (result.exitCode !== 0) {
    throw new ForemeshError('COMMAND_FAILED', {
      what: `${program} ${args.slice(0, 6).join(' ')} ended with ${result.exitCode}: ${result.stderr.trim().slice(-600)}`,
      fix: 'read the message of the program above',
    });
  }
  return result.stdout.toString('utf8');
}
