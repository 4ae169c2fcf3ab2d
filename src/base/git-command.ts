import { runCommand, type CommandResult } from './command.ts';
import { ForemeshError } from './errors.ts';

export interface GitOptions {
  stdin?: string | Uint8Array;
  /** More `-c name=value` settings; never from outside input. */
  config?: readonly string[];
  /** More environment, e.g. author and date. */
  env?: Readonly<Record<string, string>>;
  timeoutMs?: number;
}

/** No hook, no monitor, no foreign protocol, no symlink, every received object checked: whatever the repository itself says. */
const HARDENING = [
  'core.hooksPath=/dev/null',
  'core.fsmonitor=false',
  'core.symlinks=false',
  'protocol.ext.allow=never',
  'transfer.fsckObjects=true',
  'submodule.recurse=false',
  'gc.autoDetach=false',
  'maintenance.auto=false',
  'log.showSignature=false',
];

/** What git may know of our environment: no `GIT_*` of the caller reaches it. */
const PASSED_ENVIRONMENT = ['PATH', 'HOME', 'TMPDIR', 'SSH_AUTH_SOCK', 'http_proxy', 'https_proxy', 'no_proxy', 'SUDO_UID'];

/** Runs `git --git-dir=DIR …` by argument array with hardened settings; gives exit code and output, whatever the code is. */
export function runGit(gitDir: string, args: readonly string[], options: GitOptions = {}): Promise<CommandResult> {
  const config = [...HARDENING, ...(options.config ?? [])].flatMap((setting) => ['-c', setting]);
  return runCommand('git', [`--git-dir=${gitDir}`, ...config, ...args], {
    env: { ...gitEnvironment(), ...options.env },
    ...(options.stdin === undefined ? {} : { stdin: options.stdin }),
    ...(options.timeoutMs === undefined ? {} : { timeoutMs: options.timeoutMs }),
  });
}

/** As `runGit` for commands that must succeed: gives stdout. @throws ForemeshError GIT_FAILED with the last of stderr */
export async function runGitBytes(gitDir: string, args: readonly string[], options: GitOptions = {}): Promise<Buffer> {
  const result = await runGit(gitDir, args, options);
  if (result.exitCode !== 0) {
    throw new ForemeshError('GIT_FAILED', {
      what: `git ${args[0] ?? ''} ended with ${result.exitCode}: ${result.stderr.trim().slice(-600)}`,
      fix: `see that ${gitDir} is a healthy bare repository (git fsck) and that its disk is not full`,
    });
  }
  return result.stdout;
}

/** As `runGitBytes`, as text without the last line break. */
export async function runGitText(gitDir: string, args: readonly string[], options: GitOptions = {}): Promise<string> {
  return (await runGitBytes(gitDir, args, options)).toString('utf8').replace(/\n$/, '');
}

function gitEnvironment(): NodeJS.ProcessEnv {
  const passed = PASSED_ENVIRONMENT.flatMap((name) => (process.env[name] === undefined ? [] : [[name, process.env[name]] as const]));
  return {
    ...Object.fromEntries(passed),
    LC_ALL: 'C',
    GIT_CONFIG_NOSYSTEM: '1',
    GIT_CONFIG_GLOBAL: '/dev/null',
    GIT_ATTR_NOSYSTEM: '1',
    GIT_TERMINAL_PROMPT: '0',
    GIT_ALLOW_PROTOCOL: 'https:http:ssh:file',
    GIT_NO_REPLACE_OBJECTS: '1',
    GIT_LITERAL_PATHSPECS: '1',
    GIT_LFS_SKIP_SMUDGE: '1',
    GIT_SSH_COMMAND: 'ssh -o BatchMode=yes',
  };
}
