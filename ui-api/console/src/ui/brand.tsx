import { text } from '../i18n/text.ts';

/** The mark, in the colours of the favicon, and the name beside it. */
export function Brand() {
  return (
    <span className="croft-brand">
      <svg viewBox="0 0 32 32" width="28" height="28" aria-hidden="true">
        <rect width="32" height="32" rx="8" fill="#0f766e" />
        <path d="M6 17 16 8l10 9" fill="none" stroke="#fff" strokeWidth="3" strokeLinecap="round" strokeLinejoin="round" />
        <path d="M10 20h12M10 25h12" stroke="#99f6e4" strokeWidth="3" strokeLinecap="round" />
      </svg>
      <span>{text.product}</span>
    </span>
  );
}
