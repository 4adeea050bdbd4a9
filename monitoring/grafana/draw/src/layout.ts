// Where panels stand: Grafana's grid of 24 columns, and rows of 30 pixels with 8 between them.
import type { Panel } from './types';

export const GAP = 8;
const COLUMNS = 24;
const ROW = 30;

export function place({ gridPos: { x, y, w, h } }: Panel, width: number) {
  const column = (width - GAP * 4 + GAP) / COLUMNS;
  return { left: x * column, top: y * (ROW + GAP), width: w * column - GAP, height: h * (ROW + GAP) - GAP };
}

// Of a panel that is not drawn: its title and a line that says so.
const STRIP = 3;

/**
 * All panels, those of collapsed rows too: what they hold is to be seen and checked. A panel as wide as the
 * dashboard that is not drawn becomes a strip, and those below it move up.
 */
export function layout(panels: Panel[], skip: string[]): Panel[] {
  const sorted = [...panels].sort((a, b) => a.gridPos.y - b.gridPos.y || a.gridPos.x - b.gridPos.x);
  let shift = 0;
  return sorted.flatMap((panel) => {
    const moved = moveDown(panel, shift);
    if (skip.includes(panel.type) && panel.gridPos.w === COLUMNS) {
      shift -= panel.gridPos.h - STRIP;
      return [{ ...moved, gridPos: { ...moved.gridPos, h: STRIP } }];
    }
    if (panel.type !== 'row' || !panel.collapsed || !panel.panels?.length) return [moved];
    // Panels of a collapsed row keep the place that they had when it was open, so only their distances count.
    const first = Math.min(...panel.panels.map(({ gridPos }) => gridPos.y));
    const inside = panel.panels.map((inner) => moveDown(inner, moved.gridPos.y + 1 - first));
    shift += Math.max(...inside.map(({ gridPos }) => gridPos.y + gridPos.h)) - moved.gridPos.y - 1;
    return [moved, ...inside];
  });
}

const moveDown = (panel: Panel, by: number): Panel => ({ ...panel, gridPos: { ...panel.gridPos, y: panel.gridPos.y + by } });
