/** The name of a group of fields; a star where one must be chosen. */
export const Legend = ({ children, isRequired }: { children: string; isRequired?: boolean | undefined }) => (
  <legend>
    {children}
    {isRequired && (
      <span className="croft-required" aria-hidden="true">
        {' *'}
      </span>
    )}
  </legend>
);
