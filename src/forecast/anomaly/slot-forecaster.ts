/** A cheap forecast of one series, slot by slot, which can be copied: what a bench needs to ask "what if". */
export interface SlotForecaster {
  /** @param value  NaN where unknown */
  step(value: number): void;
  /** Of the slot that comes `steps` later than the last one. */
  ahead(steps: number): number;
  clone(): SlotForecaster;
}

/** The smoothed level. */
export class LevelForecaster implements SlotForecaster {
  private level: number;
  private readonly weight: number;

  constructor(weight = 0.3, level = Number.NaN) {
    this.weight = weight;
    this.level = level;
  }

  step(value: number): void {
    if (!Number.isNaN(value)) this.level = Number.isNaN(this.level) ? value : this.level + this.weight * (value - this.level);
  }

  ahead(): number {
    return Number.isNaN(this.level) ? 0 : this.level;
  }

  clone(): LevelForecaster {
    return new LevelForecaster(this.weight, this.level);
  }
}

const SEASON_WEIGHT = 0.1;

/** The level, and how each slot of the day differs from the day's mean. */
export class SeasonForecaster implements SlotForecaster {
  private readonly season: Float64Array;
  private readonly weight: number;
  private slot = -1;
  private level = Number.NaN;
  private dayMean = Number.NaN;

  constructor(slotsPerDay: number, weight = 0.3, from?: SeasonForecaster) {
    this.weight = weight;
    this.season = from ? from.season.slice() : new Float64Array(slotsPerDay);
    if (from) ({ slot: this.slot, level: this.level, dayMean: this.dayMean } = from);
  }

  step(value: number): void {
    this.slot += 1;
    if (Number.isNaN(value)) return;
    const slots = this.season.length;
    const phase = this.slot % slots;
    if (Number.isNaN(this.level)) this.level = this.dayMean = value;
    this.level += this.weight * (value - this.season[phase]! - this.level);
    this.dayMean += (value - this.dayMean) / slots;
    const rate = this.slot < slots ? 1 : this.slot < 4 * slots ? 0.3 : SEASON_WEIGHT;
    this.season[phase]! += rate * (value - this.dayMean - this.season[phase]!);
  }

  ahead(steps: number): number {
    const slots = this.season.length;
    const season = this.slot < slots ? 0 : this.season[(this.slot + steps) % slots]!;
    return Number.isNaN(this.level) ? 0 : Math.max(0, this.level + season);
  }

  clone(): SeasonForecaster {
    return new SeasonForecaster(this.season.length, this.weight, this);
  }
}
