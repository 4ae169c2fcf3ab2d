import { spawn } from 'node:child_process';
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

/** Runs a program by argument array (never a shell) and gives its exit code and output, whatever the code is. */
export function runCommand(program: string, args: readonly string[], options: CommandOptions = {}): Promise<CommandResult> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, {
      stdio: ['pipe', 'pipe', 'pipe'],
      timeout: options.timeoutMs ?? 60_000,
      killSignal: 'SIGKILL',
      ...(options.env ? { env: options.env } : {}),
      ...(options.cwd ? { cwd: options.cwd } : {}),
    });
    const stdout: Buffer[] = [];
    const stderr: Buffer[] = [];
    child.stdout.on('data', (chunk: Buffer) => stdout.push(chunk));
    child.stderr.on('data', (chunk: Buffer) => stderr.push(chunk));
    child.stdin.on('error', () => undefined); // EPIPE: the program may stop before it has read everything; its exit code tells
    child.on('error', (cause: NodeJS.ErrnoException) => {
      reject(
        new ForemeshError(cause.code === 'ENOENT' ? 'TOOL_MISSING' : 'COMMAND_FAILED', {
          what: `${program} could not be started`,
          fix: `install ${program} and see that it is on PATH`,
          cause,
        }),
      );
    });
    child.on('close', (exitCode, signal) => {
      resolve({
        exitCode: exitCode ?? (signal ? 128 : 1),
        stdout: Buffer.concat(stdout),
        stderr: Buffer.concat(stderr).toString('utf8') + (signal ? `\n${program} was ended by ${signal}` : ''),
      });
    });
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
