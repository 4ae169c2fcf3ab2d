import { formatFinding, type Finding } from '../base/index.ts';
import { colors } from './output.ts';

/** Findings for people, one a line, worst first, and a closing count. */
export function findingsAsText(findings: readonly Finding[]): string {
  const paint = { error: colors.red, warning: colors.yellow, info: colors.dim };
  const lines = findings.map((finding) => `${paint[finding.severity](finding.severity.padEnd(7))} ${formatFinding(finding)}`);
  const errors = findings.filter(({ severity }) => severity === 'error').length;
  const warnings = findings.filter(({ severity }) => severity === 'warning').length;
  lines.push(findings.length === 0 ? colors.green('clean: no findings') : `${errors} error${errors === 1 ? '' : 's'}, ${warnings} warning${warnings === 1 ? '' : 's'}`);
  return lines.join('\n');
}

/** GitHub's workflow commands: annotations on the lines of a pull request. */
export function findingsAsGithub(findings: readonly Finding[]): string {
  const escape = (text: string): string => text.replaceAll('%', '%25').replaceAll('\r', '%0D').replaceAll('\n', '%0A');
  const property = (text: string): string => escape(text).replaceAll(':', '%3A').replaceAll(',', '%2C');
  const level = { error: 'error', warning: 'warning', info: 'notice' };
  return findings
    .map((finding) => {
      const place = finding.where ? `file=${property(finding.where.file)},line=${finding.where.line},col=${finding.where.column},` : '';
      return `::${level[finding.severity]} ${place}title=${property(finding.code)}::${escape(`${finding.what} fix: ${finding.fix}`)}`;
    })
    .join('\n');
}

/** SARIF 2.1.0, as code scanning reads it. */
export function findingsAsSarif(findings: readonly Finding[]): string {
  const level = { error: 'error', warning: 'warning', info: 'note' };
  const rules = [...new Set(findings.map(({ code }) => code))].sort();
  return JSON.stringify({
    $schema: 'https://json.schemastore.org/sarif-2.1.0.json',
    version: '2.1.0',
    runs: [
      {
        tool: { driver: { name: 'foremesh', rules: rules.map((id) => ({ id })) } },
        results: findings.map((finding) => ({
          ruleId: finding.code,
          level: level[finding.severity],
          message: { text: `${finding.what}. Fix: ${finding.fix}` },
          locations: finding.where
            ? [{ physicalLocation: { artifactLocation: { uri: finding.where.file }, region: { startLine: finding.where.line, startColumn: finding.where.column } } }]
            : [],
        })),
      },
    ],
  });
}

/** JUnit XML: one failed test case a finding, one passing when there are none. */
export function findingsAsJunit(findings: readonly Finding[]): string {
  const failures = findings.filter(({ severity }) => severity === 'error');
  const cases = failures.map((finding) => {
    const name = finding.where ? `${finding.where.file}:${finding.where.line}:${finding.where.column}` : finding.code;
    return `  <testcase classname="${xml(finding.code)}" name="${xml(name)}"><failure message="${xml(finding.what)}">${xml(`fix: ${finding.fix}`)}</failure></testcase>`;
  });
  if (cases.length === 0) cases.push('  <testcase classname="foremesh" name="check"/>');
  return `<?xml version="1.0" encoding="UTF-8"?>\n<testsuite name="foremesh check" tests="${cases.length}" failures="${failures.length}">\n${cases.join('\n')}\n</testsuite>`;
}

function xml(text: string): string {
  const isAllowed = (character: string): boolean => character >= ' ' || character === '\t' || character === '\n' || character === '\r'; // XML 1.0 holds no other control characters
  return Array.from(text, (character) => character).map((character) => (isAllowed(character) ? character : '\uFFFD')).join('').replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');
}
