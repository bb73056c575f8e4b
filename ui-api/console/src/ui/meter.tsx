type Props = {
  label: string;
  used: number;
  all: number;
  caption: string;
  /** Being full is nothing to warn of, as with cores, which machines share. */
  mayBeFull?: boolean;
};

/** A quantity in use of what there is, as a bar and in words. `used` and `all` in one unit. */
export function Meter({ label, used, all, caption, mayBeFull = false }: Props) {
  const fraction = all > 0 ? Math.min(1, used / all) : 0;
  const level = mayBeFull ? 'normal' : fraction > 0.9 ? 'high' : fraction > 0.75 ? 'raised' : 'normal';
  return (
    <div className="croft-meter">
      <div
        className="croft-meter-bar"
        role="meter"
        aria-label={label}
        aria-valuemin={0}
        aria-valuemax={100}
        aria-valuenow={Math.round(fraction * 100)}
        aria-valuetext={caption}
      >
        <div className={`croft-meter-fill croft-meter-${level}`} style={{ width: `${fraction * 100}%` }} />
      </div>
    </div>
  );
}
