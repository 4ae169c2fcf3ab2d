import { ForemeshError, messageOf, roundTo } from '../base/index.ts';
import { adjustForEvents, explainForecast, PARTS_OF_PAST, pastOf, pastsByPart, type ForecastExplanation } from '../forecast/index.ts';
import { pairId, type DemandForecast, type Forecast, type Intent, type Observation } from '../model/index.ts';
import { askForecaster } from './observe.ts';
import type { CycleContext } from './state.ts';

/**
 * Explains the current forecast of a pair of sites, one explanation a traffic class, in the forecast's order.
 * Asks the forecaster once for each part of the past, with all demands of the pair changed together, and once with planned events.
 * @param classId  only this class
 * @throws ForemeshError API_NOT_FOUND
 */
export async function explainForecastOf(context: CycleContext, pair: string, classId: string | null): Promise<ForecastExplanation[]> {
  const { forecast, observation, main } = context.state;
  if (!forecast || !observation || !main) throw new ForemeshError('API_NOT_FOUND', { what: 'there is no forecast yet', fix: 'wait for the first cycle' });
  const ofPair = forecast.demands.filter(({ from, to }) => pairId(from, to) === pair);
  const demands = ofPair.filter((demand) => classId === null || demand.classId === classId);
  if (demands.length === 0) {
    throw new ForemeshError('API_NOT_FOUND', {
      what: ofPair.length === 0 ? `nothing is forecast for ${pair.slice(0, 100)}` : `${pair} has no traffic of class ${classId}`,
      fix: ofPair.length === 0 ? 'foremesh forecast show lists the pairs' : `it has ${ofPair.map((demand) => demand.classId).join(', ')}`,
    });
  }
  const answers = await askByPart(context, main.intent, observation, demands);
  return demands.map((demand, index) =>
    explainForecast({
      intent: main.intent,
      observation,
      forecast,
      demand,
      answers: answers && { withoutEvents: answers.withoutEvents.map((rows) => rows[index]!), withEvents: answers.withEvents[index]! },
      expectedAt: (startAt) => context.memory.expectedAt(demand, startAt),
      modelReasons: modelReasons(forecast),
    }),
  );
}

/** p50 by demand and slot. */
interface Answers {
  /** `[part][demand][slot]` */
  withoutEvents: number[][][];
  withEvents: number[][];
}

/** What the forecast would have been of each past, by all who have a say in it (see `forecastDemand`); null when the forecaster cannot say. */
async function askByPart(context: CycleContext, intent: Intent, observation: Observation, demands: readonly DemandForecast[]): Promise<Answers | null> {
  const pasts = demands.map((demand) => pastsByPart(pastOf({ intent, observation, demand })));
  const keys = demands.map(keyOf);
  const ask = async (planned: Intent, asked: Observation): Promise<number[][]> => {
    const used = context.hindsight.standIn(await askForecaster(context, planned, asked), asked, planned.mesh.forecast);
    const answer = context.trust.cautious(adjustForEvents(used, planned, observation), observation, planned);
    const slotsOf = new Map(answer.demands.map((demand) => [keyOf(demand), demand.slots.map(({ p50 }) => p50)]));
    return keys.map((key) => slotsOf.get(key) ?? []);
  };
  try {
    const withoutEvents: number[][][] = [];
    for (const part of PARTS_OF_PAST.keys()) {
      const shown = observation.demands.map((series) => {
        const place = keys.indexOf(keyOf(series));
        return place < 0 ? series : { ...series, mbps: pasts[place]![part]! };
      });
      withoutEvents.push(await ask({ ...intent, plannedEvents: [] }, { ...observation, demands: shown }));
    }
    const hasEvents = (intent.plannedEvents ?? []).length > 0;
    return { withoutEvents, withEvents: hasEvents ? await ask(intent, observation) : withoutEvents.at(-1)! };
  } catch (error) {
    context.log.warn({ error: messageOf(error) }, 'a forecast could not be taken apart');
    return null;
  }
}

/** What serves the pairs of each kind, and how all models did over everything. */
function modelReasons({ model, backtest, serving = [] }: Forecast): string[] {
  const own = serving.filter((entry) => entry.model === model.split(' ')[0] && entry.wape !== null);
  const where = own.map(({ group, fromStep, toStep, wape, rival }) => `for ${group} pairs ${fromStep === toStep ? `in slot ${fromStep}` : `in slots ${fromStep} to ${toStep}`} (off by ${percent(wape ?? 0)}${rival ? `, ${rival.model} by ${percent(rival.wape)}` : ''})`);
  return [...overallReasons(model, backtest), ...(where.length > 0 ? [`It won its contest ${where.join(', ')}.`] : [])];
}

function overallReasons(model: string, backtest: Forecast['backtest']): string[] {
  const [best] = backtest;
  if (!best) return [`Made by ${model}: there is too little past yet to compare models.`];
  const others = backtest.filter((score) => score.model !== model.split(' ')[0]);
  const scores = others.map((other) => `${other.model} ${percent(other.wape)}`).join(', ');
  const used = backtest.find((score) => score.model === model.split(' ')[0]);
  return [`Made by ${model}${used ? `, off by ${percent(used.wape)} on average on slots that it had not seen (p95 held ${percent(used.coverageP95)})` : ''}; ${others.length > 0 ? `the others: ${scores}` : 'nothing else was tried'}.`];
}

function percent(share: number): string {
  return `${roundTo(100 * share, 1)} %`;
}

function keyOf(demand: { from: string; to: string; classId: string }): string {
  return `${demand.from}>${demand.to}#${demand.classId}`;
}
