import { html, type SafeHtml } from './html.ts';
import { figure, table, type ReportSection } from './page.ts';
import { barChart } from './svg-charts.ts';
import { percent, shownNumber } from './text.ts';
import type { HorizonReport } from './bench-report.ts';

/** All models beside each other, with “no change” as the line to get below. */
export function modelsSection(horizons: readonly HorizonReport[]): ReportSection {
  return {
    id: 'models',
    title: 'Models compared',
    intro: 'Error of the median and of the upper quantile, shorter is better. The coloured bar is the model that was chosen before the test; the dashed line is “no change”, the forecast that anybody has for nothing.',
    body: horizons.map(({ name, chosen, scores }) => {
      const base = scores.find(({ model }) => model === 'persistence');
      const bars = (of: (score: (typeof scores)[number]['score']) => number) => scores.map(({ model, score }) => ({ name: model, value: of(score), isChosen: model === chosen })).sort((left, right) => left.value - right.value);
      const rows = scores.map(({ model, score }) => [
        model === chosen ? `${model} (chosen)` : model,
        percent(score.wape),
        shownNumber(score.mase),
        percent(score.pinball.p50),
        percent(score.pinball.p90),
        percent(score.pinball.p95),
        percent(score.coverage.p95),
        percent(score.coverageByVolume.p95),
        shownNumber(score.allocation.p95),
        percent(score.unmet.p95),
        percent(score.topkPrecision),
      ]);
      const figures = table(`All models ${name} ahead`, ['Model', 'WAPE', 'MASE', 'P50 pinball', 'P90 pinball', 'P95 pinball', 'P95 held', 'of the demand', 'ΣP95/Σy', 'unmet', 'top tenth'], rows);
      const told = `${chosen} was chosen; ${scores.map(({ model, score }) => `${model} ${percent(score.wape)}`).join(', ')}.`;
      const chart = (title: string, of: (score: (typeof scores)[number]['score']) => number): SafeHtml => barChart({ title: `${title}, ${name} ahead`, description: told }, bars(of), base ? { name: 'no change', value: of(base.score) } : null, percent);
      return html`<h3>${name} ahead</h3><div class="pair">${figure('WAPE of P50', chart('WAPE of P50', (score) => score.wape), null)}${figure('Pinball loss of P95, by demand', chart('Pinball loss of P95', (score) => score.pinball.p95), null)}</div><details><summary>Figures</summary>${figures}</details>`;
    }),
  };
}
