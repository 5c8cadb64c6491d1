/**
 * Takes files that are dropped anywhere on the page.
 * @param take is given the first file, and how many there were.
 */
export function acceptDrops(take: (file: File, count: number) => void): void {
  const { documentElement } = document;
  const carriesFiles = (event: DragEvent): boolean => event.dataTransfer?.types.includes('Files') === true;
  document.addEventListener('dragover', (event) => {
    if (!carriesFiles(event)) return;
    // Else the browser would leave the page and open the file.
    event.preventDefault();
    documentElement.classList.add('over');
  });
  document.addEventListener('dragleave', (event) => {
    if (event.relatedTarget === null) documentElement.classList.remove('over');
  });
  document.addEventListener('drop', (event) => {
    if (!carriesFiles(event)) return;
    event.preventDefault();
    documentElement.classList.remove('over');
    const files = event.dataTransfer?.files;
    const file = files?.[0];
    if (file !== undefined) take(file, files?.length ?? 1);
  });
}
